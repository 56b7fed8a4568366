/* What the planner asks of checkpoints (struct plan_env), answered from this machine's files. */
#ifndef TRIAD_CHECKPOINT_ENV_H
#define TRIAD_CHECKPOINT_ENV_H

#include "plan.h"

enum err_code checkpoint_env_find(void *ctx, const char *reference, struct arena *arena,
                                  const char **folder_out, const char **commit_out,
                                  struct err *err);
enum err_code checkpoint_env_files(void *ctx, const char *folder, struct arena *arena,
                                   const char ***names_out, size_t *count_out, struct err *err);
enum err_code checkpoint_env_chat(void *ctx, const char *folder, const char *turns,
                                  struct arena *arena, struct plan_chat *out, struct err *err);

#endif
