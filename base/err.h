/* Errors that travel: a code a caller can act on, and one line of text a person can act on. */
#ifndef TRIAD_ERR_H
#define TRIAD_ERR_H

#include <stdbool.h>

#define NODISCARD    __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Few codes: each one lets a caller do something different. */
enum err_code {
    ERR_OK = 0,
    ERR_INVALID,     /* what a person or a peer gave us is wrong: say what and where */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_CONFLICT,    /* the state forbids it: stale epoch, lock held, already there and different */
    ERR_LIMIT,       /* a bound of bounds.h or of the machine would be passed */
    ERR_TIMEOUT,     /* nobody answered in time; trying again may help */
    ERR_UNAVAILABLE, /* the peer or library is not there now; trying again later may help */
    ERR_IO,          /* the operating system said no; os_errno tells why */
    ERR_CORRUPT,     /* bytes do not match their checksum, length or format */
    ERR_VERSION,     /* made by another version that we cannot read */
    ERR_DENIED,      /* the key or role is not allowed to do this */
    ERR_CANCELLED,   /* somebody asked to stop */
};

/* Lives on the caller's stack; never allocated. Only meaningful after a failure. */
struct err {
    enum err_code code;
    int os_errno;   /* 0 if the operating system was not involved */
    char text[512]; /* "load manifest 'a.yaml': 12:3: unknown key 'lrr'" (lower case, no full stop)
                     */
};

/* Record a failure and return `code`, so that `return err_set(...)` reads as one act.
 * `err` may be NULL when the caller only wants the code. */
enum err_code err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF(3, 4);

/* The same with the text of `os_errno` appended: "open 'x': No such file or directory".
 * ENOSPC, EDQUOT and EROFS keep code ERR_IO; see err_is_disk_full(). */
enum err_code err_os(struct err *err, int os_errno, const char *format, ...) PRINTF(3, 4);

/* Put the context of an outer operation in front ("outer: inner") and return the code unchanged. */
enum err_code err_wrap(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Was it a full disk (or a quota)? Waiting helps then, once somebody makes room. */
bool err_is_disk_full(const struct err *err);

/* The code's name, as in "not found"; never NULL. */
const char *err_code_name(enum err_code code);

#endif
