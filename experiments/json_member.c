#include "json_member.h"

#include <string.h>

#include "check.h"
#include "str.h"

static void set(json_t *object, const char *key, json_t *value)
{
    ASSERT(value != NULL); /* not UTF-8, not finite, or no memory */
    int rc = json_object_set_new(object, key, value);
    ASSERT(rc == 0);
}

void json_member_text(json_t *object, const char *key, const char *text)
{
    set(object, key, json_string(text));
}

json_t *json_shown(const char *text)
{
    struct strbuf clean = {0};
    strbuf_append_clean(&clean, text, strlen(text));
    json_t *value = json_string(strbuf_text(&clean));
    strbuf_release(&clean);
    return value;
}

void json_member_shown(json_t *object, const char *key, const char *text)
{
    set(object, key, json_shown(text));
}

void json_member_integer(json_t *object, const char *key, int64_t value)
{
    set(object, key, json_integer(value));
}

void json_member_real(json_t *object, const char *key, double value)
{
    set(object, key, json_real(value));
}

void json_member_digest(json_t *object, const char *key, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    json_member_text(object, key, digest_hex(digest, hex));
}

void json_member_digests(json_t *object, const char *key, const struct named_digest *items,
                         size_t count)
{
    json_t *digests = json_object();
    for (size_t i = 0; i < count; i++)
        json_member_digest(digests, items[i].name, &items[i].digest);
    set(object, key, digests);
}
