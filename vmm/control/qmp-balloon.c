#define G_LOG_DOMAIN "vmm-control"

#include "control/qmp-balloon.h"

#include <assert.h>
#include <string.h>

#include "control/qmp-message.h"

#define PATH     "/machine/peripheral/balloon0"
#define STATS    "guest-stats"
#define INTERVAL "guest-stats-polling-interval"

/* As in QEMU's virtio-balloon. */
static const char *const stat_names[] = {
  [BALLOON_STAT_SWAP_IN] = "stat-swap-in",
  [BALLOON_STAT_SWAP_OUT] = "stat-swap-out",
  [BALLOON_STAT_MAJOR_FAULTS] = "stat-major-faults",
  [BALLOON_STAT_MINOR_FAULTS] = "stat-minor-faults",
  [BALLOON_STAT_FREE_MEMORY] = "stat-free-memory",
  [BALLOON_STAT_TOTAL_MEMORY] = "stat-total-memory",
  [BALLOON_STAT_AVAILABLE_MEMORY] = "stat-available-memory",
  [BALLOON_STAT_DISK_CACHES] = "stat-disk-caches",
  [BALLOON_STAT_HUGETLB_ALLOCATIONS] = "stat-htlb-pgalloc",
  [BALLOON_STAT_HUGETLB_FAILURES] = "stat-htlb-pgfail",
};
static_assert (G_N_ELEMENTS (stat_names) == BALLOON_N_STATS, "a name for each value");

static void
take_object (JsonNode **result, JsonObject *object)
{
  *result = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (*result, object);
}

static void
get_balloon (QmpContext *context, ControlBalloon *balloon)
{
  context->target->ops->get_balloon (context->target->opaque, balloon);
}

bool
qmp_balloon_query (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  JsonObject *info = json_object_new ();
  ControlBalloon balloon;

  get_balloon (context, &balloon);
  json_object_set_int_member (info, "actual", (int64_t) balloon.actual);
  take_object (result, info);
  return true;
}

bool
qmp_balloon_set (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  const int64_t value = json_object_get_int_member (arguments, "value");

  if (value <= 0)
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                           "Parameter 'target' expects a size");
      return false;
    }
  context->target->ops->set_balloon (context->target->opaque, (uint64_t) value);
  return true;
}

/* The property that is asked for; NULL with error unless it is one of ours. */
static const char *
find_property (JsonObject *arguments, GError **error)
{
  const char *path = json_object_get_string_member (arguments, "path");
  const char *property = json_object_get_string_member (arguments, "property");

  /* The last part of a path will do. */
  if (strcmp (path, PATH) != 0 && strcmp (path, strrchr (PATH, '/') + 1) != 0)
    {
      g_set_error (error, QMP_ERROR, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
      return NULL;
    }
  if (strcmp (property, STATS) == 0 || strcmp (property, INTERVAL) == 0)
    return property;
  g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "Property 'virtio-balloon-pci.%s' not found",
               property);
  return NULL;
}

static JsonObject *
new_stats (const BalloonStats *stats)
{
  JsonObject *object = json_object_new ();
  JsonObject *values = json_object_new ();

  for (unsigned i = 0; i < BALLOON_N_STATS; i++)
    json_object_set_int_member (values, stat_names[i], stats->values[i]);
  json_object_set_object_member (object, "stats", values);
  json_object_set_int_member (object, "last-update", stats->updated);
  return object;
}

bool
qmp_balloon_qom_get (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  const char *property = find_property (arguments, error);
  ControlBalloon balloon;

  if (property == NULL)
    return false;
  get_balloon (context, &balloon);
  if (strcmp (property, STATS) == 0)
    take_object (result, new_stats (&balloon.stats));
  else
    *result = json_node_init_int (json_node_new (JSON_NODE_VALUE), balloon.interval);
  return true;
}

bool
qmp_balloon_qom_set (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  const char *property = find_property (arguments, error);
  const int64_t value = json_object_get_int_member (arguments, "value");

  if (property == NULL)
    return false;
  if (strcmp (property, INTERVAL) != 0)
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                 "Property 'virtio-balloon-pci.%s' is not "
                 "writable",
                 property);
  else if (value < 0)
    g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                         "timer value must be greater than zero");
  else if (value > UINT32_MAX)
    g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC, "timer value is too big");
  else
    {
      context->target->ops->set_balloon_interval (context->target->opaque, (unsigned) value);
      return true;
    }
  return false;
}
