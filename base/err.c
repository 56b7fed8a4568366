#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

/* A text that filled the buffer may end in the middle of a character, and then no message could
 * carry it. */
static void drop_cut_character(struct err *err)
{
    size_t len = strlen(err->text);
    if (len + 1 == sizeof err->text)
        err->text[str_whole_characters(err->text, len)] = '\0';
}

enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    err->code = code;
    err->os_errno = 0;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    drop_cut_character(err);
    return code;
}

enum err_code err_os(struct err *err, int os_errno, const char *format, ...)
{
    if (!err)
        return ERR_IO;
    va_list args;
    va_start(args, format);
    err->code = ERR_IO;
    err->os_errno = os_errno;
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", strerror(os_errno));
    drop_cut_character(err);
    return ERR_IO;
}

enum err_code err_wrap(struct err *err, const char *format, ...)
{
    if (!err)
        return ERR_INVALID;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text &&
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", inner) < 0)
        err->text[used] = '\0'; /* a text cut at the end is fine */
    drop_cut_character(err);
    return err->code;
}

bool err_is_disk_full(const struct err *err)
{
    return err->os_errno == ENOSPC || err->os_errno == EDQUOT;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
    case ERR_INVALID:
        return "invalid";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_LIMIT:
        return "limit";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_IO:
        return "input/output";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_VERSION:
        return "version";
    case ERR_DENIED:
        return "denied";
    case ERR_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}
