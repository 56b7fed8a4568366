/* Manifests, and with them the YAML reader: any bytes are refused or read, and what was read can be
 * asked for its settings. */
#include <stdint.h>

#include "check.h"
#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses one 4 KiB buffer on some syntax errors; ours are still found. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct manifest m;
    struct err err;
    if (manifest_parse((const char *)data, len, "fuzz.yaml", &m, &err) != ERR_OK) {
        ASSERT(err.text[0] != '\0');
        return 0;
    }
    for (size_t s = 0; s < m.suite_count; s++) {
        for (size_t f = 0; f < m.family_count; f++) {
            struct manifest_evaluate settings =
                manifest_evaluate_settings(&m, &m.families[f], &m.suites[s], "flight");
            ASSERT(settings.max_sequences >= 1);
        }
    }
    manifest_release(&m);
    return 0;
}
