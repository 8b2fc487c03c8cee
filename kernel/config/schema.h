// Plugins' configuration against their schema: a subset of JSON Schema.
//
// Keywords: type, properties, required, enum, minimum, maximum, additionalProperties, items; title, description,
// default, examples, $schema and $id are read over. Anything else is refused, so that no rule is silently not kept.
// A YAML scalar satisfies type "string" whatever it looks like: sizes ("64MiB", 1024) and durations are strings.
#pragma once
#include <string_view>
#include <vector>

#include "kernel/config/node.h"

namespace tenon {

// Checks `config` and adds every mistake, with its place, to `problems`; their texts begin with `what`, for example
// "storage wiredtiger". InvalidArgument: the schema itself is wrong, which is the plugin's fault. [pure, any thread]
Status CheckAgainstSchema(std::string_view schema, const ConfigNode& config, std::string_view what,
                          std::vector<Problem>& problems);

}  // namespace tenon
