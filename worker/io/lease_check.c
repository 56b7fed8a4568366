#include "lease_check.h"

#include "file.h"

static enum err_code check_names(const struct named_digest *list, size_t count, const char *what,
                                 struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!file_name_is_safe(list[i].name))
            return err_set(err, ERR_INVALID, "the lease's %s '%s' cannot be the name of a folder",
                           what, list[i].name);
    }
    return ERR_OK;
}

enum err_code lease_check(const struct msg_lease *lease, struct err *err)
{
    const struct digest found = hash_bytes(lease->spec.data, lease->spec.len);
    char identity[DIGEST_HEX_SIZE], digest[DIGEST_HEX_SIZE];
    if (!digest_equal(&found, &lease->lease.job))
        return err_set(err, ERR_CORRUPT,
                       "the lease of job %.12s has a spec whose digest is %.12s: it is not that "
                       "job's",
                       digest_hex(&lease->lease.job, identity), digest_hex(&found, digest));
    enum err_code code = check_names(lease->inputs, lease->input_count, "input", err);
    return code ? code : check_names(lease->parents, lease->parent_count, "parent", err);
}
