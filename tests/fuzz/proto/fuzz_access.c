/* Access files: what is accepted is complete. */
#include <stdlib.h>
#include <string.h>

#include "net_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct net_access access;
    struct err err;
    if (net_access_parse((const char *)data, len, "fuzz", &access, &err) != ERR_OK)
        return 0;
    if (strlen(access.server.z85) != 40 || strlen(access.own.secret_z85) != 40 ||
        strlen(access.own.public_key.z85) != 40 || access.role[0] == '\0')
        abort();
    return 0;
}
