/* Entries of the allow-list: what is accepted has one role and a whole key. */
#include <stdlib.h>
#include <string.h>

#include "net_keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct net_keyring_entry entry;
    struct err err;
    if (net_keyring_parse((const char *)data, len, "fuzz", &entry, &err) != ERR_OK)
        return 0;
    if (strlen(entry.key.z85) != 40 ||
        (entry.role != NET_WORKER && entry.role != NET_CLIENT && entry.role != NET_VIEWER))
        abort();
    return 0;
}
