/* Where the bytes of one blob come from: other workers that hold it, tried in turn, and the
 * coordinator, which always has it. Pure: no clock, no sockets.
 *
 * A blob may be put together from several sources, as each breaks off. Only the digest of the whole
 * says whether the bytes are right; so it is remembered who sent which pieces, as fingerprints.
 * When the digest is wrong and one source sent all, it is banned. When there were several, the blob
 * comes once more from the coordinator alone, and the fingerprints tell whose pieces differ. */
#ifndef TRIAD_BLOB_SOURCES_H
#define TRIAD_BLOB_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "hash.h"
#include "vocab.h"

/* Ban at most so many; the oldest is forgotten. */
#define SOURCES_BANNED_MAX 64
/* Pieces of one blob; what would make one more comes from the coordinator. */
#define SOURCES_PIECES_MAX 16
/* Workers that are busy with others are asked again for so long in all, then the coordinator is:
 * each that finishes meanwhile is one more source. A large blob takes them longer: a second for
 * every 10 MB more, at most five minutes. */
#define SOURCES_WAIT_MS           500
#define SOURCES_WAITS_MS_MIN      15000
#define SOURCES_WAITS_MS_MAX      300000
#define SOURCES_WAIT_BYTES_PER_MS 10000

enum source_state { SOURCE_UNTRIED, SOURCE_BUSY, SOURCE_FAILED };

struct source {
    char worker[NAME_BYTES_MAX + 1];
    char endpoint[NAME_BYTES_MAX + 1];
    struct digest server_key;
    enum source_state state;
};

/* Consecutive bytes from one source. */
struct source_piece {
    struct source source; /* endpoint empty: the coordinator */
    bool is_kept;         /* from our own disk: a former process fetched it, nobody knows whence */
    uint64_t from, to;
    uint64_t print; /* of its chunks' checksums */
};

struct blob_sources {
    struct source list[BLOB_SOURCES_MAX];
    size_t count;
    int current; /* index in the list; -1: the coordinator */
    uint64_t waited_ms, waits_ms_max;
    bool coordinator_only;
    struct source_piece pieces[SOURCES_PIECES_MAX + 1]; /* in order, without a gap */
    size_t piece_count;
    /* The pieces of a try that failed, compared with what the coordinator sends now. */
    struct source_piece suspects[SOURCES_PIECES_MAX + 1];
    size_t suspect_count;
    struct digest banned[SOURCES_BANNED_MAX];
    size_t banned_count, banned_next;
};

/* A new blob: nothing is known of it. Bans stay. */
void blob_sources_reset(struct blob_sources *s);
/* Its size is known now. */
void blob_sources_size(struct blob_sources *s, uint64_t bytes);
/* What the coordinator says: workers that hold it. Those that are banned, or no tcp:// address, are
 * left out; those that failed for this blob already stay failed. */
void blob_sources_offer(struct blob_sources *s, const struct blob_source *offered, size_t count);

enum source_choice {
    CHOOSE_PEER,        /* s->list[s->current] */
    CHOOSE_COORDINATOR, /* s->current is -1 */
    CHOOSE_WAIT,        /* all are busy: ask the coordinator again in SOURCES_WAIT_MS */
};
enum source_choice blob_sources_choose(struct blob_sources *s);
/* The one being read has no room for us now, or is of no use for this blob. */
void blob_sources_busy(struct blob_sources *s);
void blob_sources_failed(struct blob_sources *s);

/* The first `bytes` were here already: they come first. `print` is that of their chunks. */
void blob_sources_kept(struct blob_sources *s, uint64_t bytes, uint64_t print);
/* The fingerprint of a piece with one chunk more; that of none is 0. */
uint64_t blob_sources_print(uint64_t print, uint32_t crc32c);
/* The current source sent a chunk, [offset, offset + len). */
void blob_sources_took(struct blob_sources *s, uint64_t offset, size_t len, uint32_t crc32c);

/* The whole does not match its digest, and begins anew. Returns how many culprits are known, named
 * in `culprits` and banned; 0: the coordinator is asked alone and blob_sources_whole() tells. False
 * in *may_retry: the coordinator itself sent all of it, so trying again is no use. What was kept is
 * never trusted a second time, and blames nobody. */
size_t blob_sources_mismatch(struct blob_sources *s, struct source culprits[SOURCES_PIECES_MAX + 1],
                             bool *may_retry);
/* The whole is right. Returns who sent other bytes in a former try, now banned. */
size_t blob_sources_whole(struct blob_sources *s, struct source culprits[SOURCES_PIECES_MAX + 1]);

/* Ban a source for what it sent (a chunk that contradicts itself). */
void blob_sources_ban(struct blob_sources *s, const struct digest *server_key);
bool blob_sources_is_banned(const struct blob_sources *s, const struct digest *server_key);

#endif
