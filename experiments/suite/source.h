/* A source of data: what it is, under which terms, and how to get it. One YAML file each in
 * suite/sources/; the name of the file is the name of the source. Its files lie in a folder of that
 * name below the data folder. */
#ifndef TRIAD_SOURCE_H
#define TRIAD_SOURCE_H

#include "fields.h"
#include "hash.h"

enum source_access {
    SOURCE_EMBEDDED, /* comes with Triad, in experiments/data */
    SOURCE_OPEN,     /* anybody may download it */
    SOURCE_ACCOUNT,  /* after signing in or accepting terms on its site */
    SOURCE_REQUEST,  /* on request from its authors */
    SOURCE_MANUAL,   /* by hand: several steps, described in `how` */
    SOURCE_ACCESS_COUNT,
};

struct source_file {
    const char *path;   /* below the source's folder */
    const char *url;    /* where `triad suite fetch` finds it; NULL: it does not */
    const char *digest; /* what `b2sum -l 256` says of the file this was tested on; or NULL */
    int64_t bytes;      /* 0: unknown */
};

struct source {
    struct yaml_doc doc; /* owns the texts */
    const char *name, *title, *address, *licence;
    int access;      /* enum source_access */
    const char *how; /* what a person has to do, or NULL */
    const char
        *convert; /* a command line that brings the files into a form that is read, or NULL */
    struct source_file *files;
    size_t file_count;
};

/* Parse a source file. Free with source_release(). */
NODISCARD enum err_code source_parse(const char *bytes, size_t len, const char *path,
                                     struct source *out, struct err *err);
void source_release(struct source *source);

/* "open", "account", … */
const char *source_access_name(enum source_access access);
/* The file with this path, or NULL. */
const struct source_file *source_find_file(const struct source *source, const char *path);

/* A list of task names that belongs together, such as those behind a published count. One YAML file
 * each in suite/sets/. In manifests `set:NAME` stands for its tasks. */
struct task_set {
    struct yaml_doc doc;
    const char *name, *what;
    int status;        /* enum set_status */
    int64_t published; /* pairs of task and family in the count that was published; 0: none */
    struct field_texts tasks;
};
enum set_status { SET_PUBLISHED, SET_INFERRED, SET_OURS };

NODISCARD enum err_code set_parse(const char *bytes, size_t len, const char *path,
                                  struct task_set *out, struct err *err);
void set_release(struct task_set *set);
bool set_has(const struct task_set *set, const char *task);

#endif
