/* A model and its tokenizer, ready to compute without any coordinator: for triad score and triad
 * generate. */
#ifndef TRIAD_VOICE_H
#define TRIAD_VOICE_H

#include "cli.h"
#include "format.h"
#include "model.h"
#include "tokenizer.h"

struct voice {
    const char *folder;
    struct model *model; /* mapped as it is stored */
    struct tokenizer *tokenizer;
};

/* Open a folder, or hf:ORG/NAME@REVISION, as --threads says. Close with voice_close(), also after a
 * failure. */
NODISCARD enum err_code voice_open(struct cli *cli, const char *name, struct voice *out,
                                   struct err *err);
void voice_close(struct voice *voice);

/* The token that begins a text, where the tokenizer has one, and the text. */
NODISCARD enum err_code voice_encode(const struct voice *voice, struct str text,
                                     struct token_list *ids, struct err *err);
/* Say once that what was encoded is not all UTF-8, if so. */
void voice_note_repair(const struct cli *cli, const struct voice *voice);
/* The tokens of a rendered sequence. ERR_INVALID names a special token that is not there. */
NODISCARD enum err_code voice_encode_sequence(const struct voice *voice,
                                              const struct sequence *sequence,
                                              struct token_list *ids, struct err *err);
/* How the model writes turns: as --turns says, else after its chat template, else after its kind.
 * What differs between template and turns is said on stderr. */
NODISCARD enum err_code voice_turns(struct cli *cli, const struct voice *voice,
                                    const struct turn_style **style_out, struct err *err);

/* Append what the file holds, or with `path` NULL standard input, at most `bytes_max`. */
NODISCARD enum err_code voice_read_text(const char *path, size_t bytes_max, struct strbuf *out,
                                        struct err *err);

/* The ids that end a text: of config.json, generation_config.json and the tokenizer, and `end` (may
 * be NULL). Returns how many; `out` holds VOICE_STOPS_MAX. */
enum { VOICE_STOPS_MAX = 32 };
size_t voice_stops(struct cli *cli, const struct voice *voice, const char *end,
                   int32_t out[VOICE_STOPS_MAX]);

#endif
