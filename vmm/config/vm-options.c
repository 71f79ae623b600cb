#include "config/vm-options.h"

#include <string.h>

#include "config/option-words.h"
#include "config/vm-option-table.h"

/* Parsed arguments, still text: --config has to be applied before the others. */
typedef struct Said
{
  const char *values[VM_N_OPTIONS];
  GPtrArray *repeated; /* borrowed pairs: option, text */
} Said;

/* A value as messages show it. */
static char *
show (const char *text)
{
  g_autoptr (OptionWords) words = option_words_new_from_text (text, true);

  return option_words_to_message (words);
}

/* Splits "--name=value" or "--name" "value" at *index, which it advances. */
static const VmOption *
take_option (int argc, char **argv, int *index, const char **value, GError **error)
{
  const char *argument = argv[(*index)++];

  if (!g_str_has_prefix (argument, "--") || argument[2] == '\0')
    {
      g_autofree char *shown = show (argument);
      vm_option_refuse (error, "\"%s\" is not an option; --help lists them", shown);
      return NULL;
    }
  const char *equals = strchr (argument, '=');
  g_autofree char *name = equals ? g_strndup (argument + 2, equals - argument - 2) //
                                 : g_strdup (argument + 2);
  const VmOption *option = vm_option_find (name);
  if (option == NULL)
    {
      g_autofree char *shown = show (name);
      vm_option_refuse (error, "--%s: there is no such option; --help lists them", shown);
      return NULL;
    }
  *value = equals ? equals + 1 : NULL;
  if (option->argument == NULL && *value != NULL)
    {
      g_autofree char *shown = show (*value);
      vm_option_refuse (error, "--%s: \"%s\" is not allowed: it takes no value", option->name,
                        shown);
      return NULL;
    }
  if (option->argument != NULL && *value == NULL)
    *value = *index < argc ? argv[(*index)++] : NULL;
  if (option->argument != NULL && *value == NULL)
    {
      vm_option_refuse (error, "--%s: needs a value: %s", option->name, option->allowed);
      return NULL;
    }
  return option;
}

static bool
refuse_again (const VmOption *option, const char *before, const char *now, GError **error)
{
  g_autofree char *first = show (before);
  g_autofree char *second = show (now);

  return vm_option_refuse (error, "--%s: \"%s\" is not allowed after \"%s\": only once, %s",
                           option->name, second, first, option->allowed);
}

static bool
collect (int argc, char **argv, Said *said, GError **error)
{
  for (int i = 1; i < argc;)
    {
      const char *value = NULL;
      const VmOption *option = take_option (argc, argv, &i, &value, error);
      if (option == NULL)
        return false;
      if (option->repeats)
        {
          g_ptr_array_add (said->repeated, (void *) option);
          g_ptr_array_add (said->repeated, (void *) value);
          continue;
        }
      const char **place = &said->values[option - vm_option_table];
      if (*place != NULL && option->argument != NULL)
        return refuse_again (option, *place, value, error);
      *place = value != NULL ? value : "";
    }
  return true;
}

static bool
apply_text (VmConfig *config, const VmOption *option, const char *text, GError **error)
{
  g_autoptr (OptionWords) words = option_words_new_from_text (text, option->whole);

  return vm_option_apply (config, option, words, NULL, error);
}

static bool
apply_said (VmConfig *config, const Said *said, GError **error)
{
  for (unsigned i = 0; i < VM_N_OPTIONS; i++)
    if (said->values[i] != NULL && vm_option_table[i].set != NULL &&
        !apply_text (config, &vm_option_table[i], said->values[i], error))
      return false;
  for (unsigned i = 0; i + 1 < said->repeated->len; i += 2)
    if (!apply_text (config, said->repeated->pdata[i], said->repeated->pdata[i + 1], error))
      return false;
  return true;
}

static bool
apply_config (VmConfig *config, const char *file, GError **error)
{
  if (file != NULL && *file == '\0')
    return vm_option_refuse (error, "--config: \"\" is not allowed: %s",
                             vm_option_table[VM_OPTION_CONFIG].allowed);
  return file == NULL || vm_options_apply_file (config, file, error);
}

VmConfig *
vm_options_parse (int argc, char **argv, VmOptionsAction *action, GError **error)
{
  g_autoptr (GPtrArray) repeated = g_ptr_array_new ();
  g_autoptr (VmConfig) config = vm_config_new ();
  Said said = { .repeated = repeated };

  *action = VM_OPTIONS_RUN;
  if (!collect (argc, argv, &said, error))
    return NULL;
  if (said.values[VM_OPTION_HELP] != NULL || said.values[VM_OPTION_VERSION] != NULL)
    {
      *action = said.values[VM_OPTION_HELP] != NULL ? VM_OPTIONS_HELP : VM_OPTIONS_VERSION;
      return NULL;
    }
  if (!apply_config (config, said.values[VM_OPTION_CONFIG], error) ||
      !apply_said (config, &said, error) || !vm_config_validate (config, error))
    return NULL;
  return g_steal_pointer (&config);
}

char *
vm_options_to_help (void)
{
  GString *text = g_string_new ("Usage: alcove-vmm --kernel FILE | --firmware uefi [OPTION...]\n"
                                "Runs one virtual machine.\n\n");

  for (unsigned i = 0; i < VM_N_OPTIONS; i++)
    g_string_append_printf (text, "  --%s%s%s\n      %s\n", vm_option_table[i].name,
                            vm_option_table[i].argument ? " " : "",
                            vm_option_table[i].argument ? vm_option_table[i].argument : "",
                            vm_option_table[i].help);
  g_string_append (text, "\nExit status: 0 the guest powered off or was asked to; 1 the host could "
                         "not do it; 2 wrong\nusage; 3 the guest crashed the machine.\n");
  return g_string_free (text, FALSE);
}
