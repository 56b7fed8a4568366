/* The one table of verbs: dispatch, help, completion and man page are made from it. */
#include "verbs.h"

#include <stdio.h>
#include <unistd.h>

#include "check.h"

#define END_OF_OPTIONS                                                                             \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

const struct cli_option cli_global_options[] = {
    {"output", "FORMAT", "table", "table (cut to a terminal's width), json or csv, on stdout"},
    {"state", "DIR", NULL, "state folder (default $TRIAD_STATE, else .triad)"},
    {"data", "DIR", NULL, "data of sources (default $TRIAD_DATA, else ~/.local/share/triad/data)"},
    {"access", "FILE", NULL,
     "how to reach the coordinator (default $TRIAD_ACCESS, else STATE/client.access)"},
    {"quiet", NULL, NULL, "no messages or progress on stderr"},
    END_OF_OPTIONS,
};

#define BENCH_OPTIONS(SHAPE, TOKENS, ROUNDS)                                                       \
    {"shape", "NAME", SHAPE, "quickstart, llama-124m, qwen3-0.6b-32k or gemma3-1b"},               \
        {"tokens", "N", TOKENS, "of a sequence, or of the prompt"},                                \
        {"rounds", "N", ROUNDS, "how often to measure"},                                           \
        {"precision", "NAME", "f32", "of products: f32 or bf16"},                                  \
        {"backend", "NAME", "packed", "of products: packed, blas (f32) or onednn (bf16)"},         \
        {"threads", "N", NULL, "cores to use (default: all)"},                                     \
    {                                                                                              \
        "json", "FILE", NULL, "also write what is found to FILE"                                   \
    }

static const struct cli_option bench_kernels_options[] = {
    BENCH_OPTIONS("llama-124m", "1024", "5"),
    END_OF_OPTIONS,
};

static const struct cli_option bench_train_options[] = {
    BENCH_OPTIONS("llama-124m", "512", "4"),
    {"step-tokens", "N", "4096", "of a training step"},
    END_OF_OPTIONS,
};

static const struct cli_option bench_score_options[] = {
    BENCH_OPTIONS("qwen3-0.6b-32k", "1000", "3"),
    {"loss-percent", "N", "100", "also with a loss at this share of the positions only"},
    {"model", "FOLDER", NULL, "the checkpoint to score, of that shape (default: random weights)"},
    {"save", "FOLDER", NULL, "write the weights, and the ids into ids.bin, for other programs"},
    END_OF_OPTIONS,
};

static const struct cli_option bench_generate_options[] = {
    BENCH_OPTIONS("qwen3-0.6b-32k", "200", "1"),
    {"candidates", "N", "50", "candidates to score after the prompt (0: none)"},
    {"texts", "N", "100", "texts to sample after the prompt (0: none)"},
    {"text-tokens", "N", "32", "of a text"},
    END_OF_OPTIONS,
};

static const struct cli_option run_options[] = {
    {"workers", "N", "1", "local workers to start; they share the cores"},
    {"threads", "N", NULL, "cores to use in all (default: all)"},
    {"report-dir", "DIR", NULL, "where the report goes (default STATE/reports/EXPERIMENT)"},
    {"poll-ms", "N", "500", "how often progress is asked for"},
    END_OF_OPTIONS,
};

static const struct cli_option plan_options[] = {
    {"missing-ok", NULL, NULL, "list what is not here instead of stopping at it"},
    {"files", NULL, NULL, "only list the files that the plan is made from, a path a line"},
    END_OF_OPTIONS,
};

static const struct cli_option submit_options[] = {
    {"wait", NULL, NULL, "stay until every job has ended; exit 6 when one did not succeed"},
    {"dry-run", NULL, NULL, "only tell what would be new and what would be reused"},
    END_OF_OPTIONS,
};

static const struct cli_option watch_options[] = {
    {"timeout", "DURATION", NULL, "give up after this long, with exit code 7"},
    {"poll-ms", "N", "500", "how often progress is asked for"},
    END_OF_OPTIONS,
};

static const struct cli_option job_list_options[] = {
    {"experiment", "NAME", "", "only jobs of this experiment"},
    {"jobs-state", "STATE", "", "only jobs in this state, such as running or failed"},
    END_OF_OPTIONS,
};

/* Several experiments may have jobs of one label. */
#define OF_EXPERIMENT                                                                              \
    {                                                                                              \
        "experiment", "NAME", "", "the experiment whose job it is"                                 \
    }

static const struct cli_option job_options[] = {
    OF_EXPERIMENT,
    END_OF_OPTIONS,
};

static const struct cli_option job_priority_options[] = {
    {"priority", "N", NULL, "any whole number; 0 is usual, higher goes first"},
    OF_EXPERIMENT,
    END_OF_OPTIONS,
};

static const struct cli_option job_logs_options[] = {
    OF_EXPERIMENT,
    {"epoch", "N", "0", "which attempt (0: the committed one, else the latest)"},
    END_OF_OPTIONS,
};

static const struct cli_option job_act_options[] = {
    {"reason", "TEXT", "", "stored with the job and shown in lists"},
    {"experiment", "NAME", "", "act on all jobs of this experiment instead of one"},
    END_OF_OPTIONS,
};

static const struct cli_option priority_options[] = {
    {"priority", "N", NULL, "any whole number; 0 is usual, higher goes first"},
    END_OF_OPTIONS,
};

static const struct cli_option drain_options[] = {
    {"reason", "TEXT", "", "shown in 'triad worker list' and with the jobs it gives back"},
    {"deadline", "DURATION", NULL, "stop with checkpoints after this long, whatever it holds"},
    END_OF_OPTIONS,
};

static const struct cli_option gc_options[] = {
    {"apply", NULL, NULL, "remove it; otherwise only tell what there is"},
    {"age", "DURATION", "24h", "only what nobody asked for during this time (at least 1h)"},
    END_OF_OPTIONS,
};

static const struct cli_option bench_dispatch_options[] = {
    {"jobs", "N", "20000", "how many no-op jobs"},
    {"connections", "N", "16", "scripted workers, each with an identity and a connection"},
    {"batches", "N", "0", "batches of 1,024 records that each job delivers"},
    {"metg", NULL, NULL, "instead: the smallest task that keeps the slots half busy"},
    {"dir", "DIR", "/var/tmp", "where the coordinator's state goes (its disk counts)"},
    {"bench-state", "DIR", NULL, "a state folder to use, for a database with a history"},
    {"first", "N", "0", "number of the first job, where the folder has some already"},
    END_OF_OPTIONS,
};

static const struct cli_option worker_start_options[] = {
    {"worker-access", "FILE", NULL, "the worker's access file (default STATE/worker.access)"},
    {"name", "NAME", NULL, "stable name of this worker (default: host name)"},
    {"dir", "DIR", NULL, "its folder for spool and cache (default STATE/workers/NAME)"},
    {"threads", "N", NULL, "cores it may use (default: all)"},
    {"memory", "SIZE", NULL, "memory it may use, such as 8GiB (default: 3/4 of the machine's)"},
    {"idle-end", "DURATION", NULL, "leave after holding nothing for this long"},
    {"time-limit", "DURATION", NULL,
     "it must be gone by then: longer jobs go elsewhere, it stops with checkpoints before"},
    {"label", "WORDS", NULL, "what jobs may ask for, such as big,site=north"},
    {"data-listen", "HOST[:PORT]", NULL,
     "let other workers read checkpoints from its cache there (default: it only dials out)"},
    {"advertise", "HOST[:PORT]", NULL, "how other workers reach that"},
    {"shared-store", "DIR", NULL,
     "where this machine sees the coordinator's shared store, if under another path"},
    END_OF_OPTIONS,
};

static const struct cli_option coordinator_start_options[] = {
    {"listen", "ADDRESS", "127.0.0.1", "address to bind"},
    {"advertise", "HOST[:PORT]", NULL,
     "how others reach this machine (see triad-coordinator --help)"},
    {"shared-store", "DIR", NULL,
     "keep blobs on a file system that workers see, too: they need not be sent"},
    {"worker-port", "N", "0", "port for workers (0: the kernel picks)"},
    {"client-port", "N", "0", "port for clients"},
    {"data-port", "N", "0", "port for blobs"},
    {"keys", "DIR", NULL, "folder of keys (default STATE/keys; make one with 'triad keys init')"},
    {"detach", NULL, NULL, "go into the background once ready; log in STATE/coordinator.log"},
    END_OF_OPTIONS,
};

static const struct cli_option model_get_options[] = {
    OF_EXPERIMENT,
    {"checkpoint", NULL, NULL, "the last checkpoint instead, also of a job that did not succeed"},
    END_OF_OPTIONS,
};

static const struct cli_option adapter_options[] = {
    {"base", "NAME", NULL, "the model it belongs to, for adapter_config.json"},
    END_OF_OPTIONS,
};

static const struct cli_option curves_options[] = {
    OF_EXPERIMENT,
    {"rows", "N", "0", "about so many rows a job (0: 40 in a table, all in JSON and CSV)"},
    {"plot", "FILE", NULL, "draw instead, into a .svg, .png or .pdf, with gnuplot"},
    END_OF_OPTIONS,
};

static const struct cli_option export_options[] = {
    {"format", "csv|jsonl", "csv", "CSV with a header line, or one JSON object a line"},
    {"task", "GLOB", "*", "only tasks that match"},
    END_OF_OPTIONS,
};

static const struct cli_option report_options[] = {
    {"format", "FORMAT", "text", "text, markdown, csv, json or latex, on stdout"},
    {"report-dir", "DIR", NULL, "also write all formats into this folder"},
    END_OF_OPTIONS,
};

static const struct cli_option keys_init_options[] = {
    {"keys", "DIR", NULL, "folder to make (default STATE/keys)"},
    END_OF_OPTIONS,
};

static const struct cli_option keys_options[] = {
    {"keys", "DIR", NULL, "folder of the keys (default STATE/keys)"},
    END_OF_OPTIONS,
};

static const struct cli_option alloc_add_options[] = {
    {"name", "NAME", "slurm", "what to call this queue"},
    {"cores", "N", NULL, "cores of one allocation"},
    {"time", "DURATION", NULL, "wall time of one allocation, such as 4h or 1h30m"},
    {"memory", "SIZE", NULL, "memory of one allocation (default: the partition's)"},
    {"ranks", "N", "1",
     "tasks of one allocation, each with so many cores; above 1: for ranks only"},
    {"max-workers", "N", "16", "allocations at once, pending ones included"},
    {"backlog", "N", "4", "allocations pending at once"},
    {"idle", "DURATION", "5m", "a worker without work leaves after this"},
    {"label", "WORDS", "", "labels of its workers, such as big,site=north"},
    {"worker-access", "FILE", NULL, "the workers' access file (default STATE/worker.access)"},
    {"worker-dir", "DIR", NULL, "where the workers' folders go (default STATE/alloc)"},
    {"data-listen", "HOST[:PORT]", NULL,
     "its workers let others read checkpoints there, as 0.0.0.0; any free port"},
    {"dry-run", NULL, NULL, "show what would be submitted, and ask whether it would be taken"},
    END_OF_OPTIONS,
};

static const struct cli_option export_key_options[] = {
    {"worker", NULL, NULL, "for a worker: may take and return work"},
    {"client", NULL, NULL, "for a person or script: may submit, look and act"},
    {"viewer", NULL, NULL, "for a person or script: may look, and change nothing"},
    {"out", "FILE", NULL, "the access file to make (default NAME.access)"},
    {"keys", "DIR", NULL, "folder of the keys (default STATE/keys)"},
    END_OF_OPTIONS,
};

static const struct cli_option rotate_options[] = {
    {"at-once", NULL, NULL, "refuse the former key immediately"},
    {"keys", "DIR", NULL, "folder of the keys (default STATE/keys)"},
    END_OF_OPTIONS,
};

static const struct cli_option import_options[] = {
    {"from", "LAYOUT", "llama2c", "llama2c: FILE.bin with tok512.bin beside it"},
    {"tokenizer", "FILE", NULL, "the tokenizer file (default: tok512.bin beside the weights)"},
    END_OF_OPTIONS,
};

static const struct cli_option generate_options[] = {
    {"prompt", "TEXT", "", "text to continue"},
    {"chat", "TEXT", NULL, "what a user says: the answer is one turn of the assistant"},
    {"system", "TEXT", NULL, "with --chat: the system's text"},
    {"format", "FORMAT", NULL, "ask for an output as experiments do: spectrum, colon or chat"},
    {"description", "TEXT", NULL, "with --format: the description"},
    {"input", "TEXT", NULL, "with --format: the input"},
    {"turns", "STYLE", NULL, "how turns are written (default: as the checkpoint's chat template)"},
    {"tokens", "N", "120", "how many tokens to add at most"},
    {"greedy", NULL, NULL, "always take the most probable token"},
    {"temperature", "X", "1", "divide the logits by this"},
    {"top-k", "N", "0", "keep the N most probable tokens (0: all)"},
    {"top-p", "X", "1", "keep the fewest tokens that reach this probability"},
    {"count", "N", "1", "how many continuations"},
    {"seed", "N", "42", "of the draws"},
    {"threads", "N", NULL, "cores to use (default: all)"},
    END_OF_OPTIONS,
};

static const struct cli_option dtype_options[] = {
    {"dtype", "TYPE", NULL, "f32 or bf16 (default: as it is, with the same bytes)"},
    END_OF_OPTIONS,
};

static const struct cli_option inspect_options[] = {
    {"tensors", NULL, NULL, "also list every tensor"},
    {"check", NULL, NULL, "also read all weights and look for infinities and NaN"},
    END_OF_OPTIONS,
};

static const struct cli_option score_options[] = {
    {"text", "TEXT", NULL, "text to score (default: standard input)"},
    {"file", "FILE", NULL, "a file with the text"},
    {"dataset", "FILE", NULL, "a data set of Triad's: every item's nats and hits (docs/data.md)"},
    {"threads", "N", NULL, "cores to use (default: all)"},
    END_OF_OPTIONS,
};

#define TASK_OPTIONS                                                                               \
    {"suite", "NAME", "", "only tasks of this suite, such as spectrum, alignment or capability"},  \
    {                                                                                              \
        "set", "NAME", "", "only tasks of this set of suite/sets/"                                 \
    }
#define VIEW_OPTIONS                                                                               \
    {"format", "FORMAT", "text",                                                                   \
     "text, spectrum, colon or chat; what has a loss stands in \u27e6\u27e7"},                     \
        {"turns", "FAMILY", "llama3", "how turns are spelt"},                                      \
        {"examples", "N", "0", "at most so many examples (0: all)"},                               \
        {"keep-description", "P", "1", "probability that a sequence has its description"},         \
    {                                                                                              \
        "seed", "N", "42", "of the draws"                                                          \
    }

static const struct cli_option suite_list_options[] = {
    TASK_OPTIONS,
    {"missing", NULL, NULL, "only tasks that need data"},
    END_OF_OPTIONS,
};

static const struct cli_option suite_check_options[] = {
    TASK_OPTIONS,
    {"sequences", "N", "200", "how many sequences of each task to look at"},
    END_OF_OPTIONS,
};

static const struct cli_option suite_stats_options[] = {
    TASK_OPTIONS,
    {"tokenizer", "FOLDER", NULL, "count its tokens (default: bytes)"},
    {"context", "N", "1024", "how many tokens fit"},
    {"sequences", "N", "1000", "how many sequences of each task to look at"},
    {"keep-description", "P", "0.8", "probability that a sequence has its description"},
    {"seed", "N", "42", "of the draws"},
    END_OF_OPTIONS,
};

static const struct cli_option suite_fetch_options[] = {
    {"yes", NULL, NULL, "agree to the licences that are shown"},
    {"accept-changed", NULL, NULL, "take files that are not those the tasks were tested on"},
    END_OF_OPTIONS,
};

static const struct cli_option suite_show_options[] = {VIEW_OPTIONS, END_OF_OPTIONS};

static const struct cli_option suite_sample_options[] = {
    {"first", "N", "0", "number of the first sequence"},
    {"count", "N", "3", "how many sequences"},
    VIEW_OPTIONS,
    END_OF_OPTIONS,
};

static const struct cli_option tokenize_options[] = {
    {"text", "TEXT", NULL, "text to tokenize (default: standard input)"},
    {"file", "FILE", NULL, "a file with the text"},
    {"dataset", "FILE", NULL, "a dataset (docs/data.md): shows where the loss of a sequence falls"},
    {"sequence", "N", "0", "which sequence of the dataset, by number from 0 or by id"},
    {"special", NULL, NULL, "let the text give special tokens, as other programs do"},
    {"bos", NULL, NULL, "begin with the token that begins a text"},
    {"total", NULL, NULL, "only count"},
    END_OF_OPTIONS,
};

static const struct cli_option tokenizer_train_options[] = {
    {"out", "FOLDER", NULL, "folder to make, for tokenizer.json and tokenizer_config.json"},
    {"vocabulary", "N", "8192", "entries in all: 256 bytes, learned ones and special tokens"},
    {"specials", "LIST", NULL,
     "special tokens, separated by commas (default: Llama 3's five turns)"},
    END_OF_OPTIONS,
};

const struct cli_verb cli_verbs[] = {
    {NULL, "run", "MANIFEST", 1, 1, "plan, run here and report: needs nothing running",
     "Starts a private coordinator and local workers in the state folder, shows progress, prints "
     "the\n"
     "report and writes it as Markdown, CSV, JSON and LaTeX. Run it again after an interruption or "
     "an\n"
     "edit: what is done is reused. When a coordinator already runs in the state folder it is "
     "used.",
     run_options, verb_run},
    {NULL, "plan", "MANIFEST", 1, 1, "show what a manifest means; start nothing",
     "Every job with its identity, what it depends on, what would be reused and why, k and the "
     "share of\n"
     "sequences it leaves out for every task, hours and memory. With --missing-ok, checkpoints and "
     "data\n"
     "that are not here are listed with the way to get them, and the cells that wait for them are "
     "counted.",
     plan_options, verb_plan},
    {NULL, "submit", "MANIFEST", 1, 1, "give a manifest's jobs to the coordinator", "",
     submit_options, verb_submit},
    {NULL, "status", "[EXPERIMENT]", 0, 1, "counts of jobs by state, and what runs now", "", NULL,
     verb_status},
    {NULL, "watch", "[EXPERIMENT]", 0, 1, "follow progress until every job has ended", "",
     watch_options, verb_watch},
    {NULL, "report", "EXPERIMENT", 1, 1, "significance tables from what is there now",
     "Missing cells are shown as missing, with the reason.", report_options, verb_report},
    {"job", "list", "", 0, 0, "jobs, their states and why they wait", "", job_list_options,
     verb_job_list},
    {"job", "show", "JOB", 1, 1, "one job: its spec and every attempt",
     "JOB is an identity or its first digits, or a label such as llama-tiny/ST/flight.",
     job_options, verb_job_show},
    {"job", "logs", "JOB", 1, 1, "what an attempt wrote", "", job_logs_options, verb_job_logs},
    {"job", "cancel", "[JOB]", 0, 1, "stop a job for good (its checkpoint is kept)", "",
     job_act_options, verb_job_cancel},
    {"job", "retry", "[JOB]", 0, 1, "let failed, cancelled or quarantined jobs wait anew", "",
     job_act_options, verb_job_retry},
    {"job", "release", "[JOB]", 0, 1, "let quarantined jobs wait anew", "", job_act_options,
     verb_job_release},
    {"job", "priority", "JOB", 1, 1,
     "let a waiting job go before or after others of its experiment", "", job_priority_options,
     verb_job_priority},
    {"job", "explain", "JOB", 1, 1, "why a job waits, worker by worker, or what happened to it",
     "For a job that failed: every attempt's end with its evidence, and the last lines it wrote.",
     job_options, verb_job_explain},
    {"experiment", "pause", "EXPERIMENT", 1, 1, "start none of its jobs; what runs goes on", "",
     NULL, verb_experiment_pause},
    {"experiment", "resume", "EXPERIMENT", 1, 1, "start its jobs again", "", NULL,
     verb_experiment_resume},
    {"experiment", "priority", "EXPERIMENT", 1, 1,
     "let an experiment go before others; equal ones share the workers fairly", "",
     priority_options, verb_experiment_priority},
    {"suite", "list", "[TASK]...", 0, 1000, "tasks, by membership, and what each needs",
     "TASK is a name, a glob, or set:NAME.", suite_list_options, verb_suite_list},
    {"suite", "show", "TASK", 1, 1, "a task: source, licence, state, and one sequence", "",
     suite_show_options, verb_suite_show},
    {"suite", "sample", "TASK", 1, 1, "sequences of a task in any format", "", suite_sample_options,
     verb_suite_sample},
    {"suite", "stats", "[TASK]...", 0, 1000, "sequences, examples and tokens of tasks",
     "TASK is a name, a glob, or set:NAME.", suite_stats_options, verb_suite_stats},
    {"suite", "check", "[TASK]...", 0, 1000, "look for what is wrong with tasks",
     "Fields left in descriptions, repeated sequences, draws that do not differ, empty groups, "
     "outputs\n"
     "that are no candidates, and training examples that nearly occur in a test task. Exit code 3 "
     "when\n"
     "there is any. TASK is a name, a glob, or set:NAME.",
     suite_check_options, verb_suite_check},
    {"suite", "fetch", "SOURCE...", 1, 100, "download what may be downloaded, into the data folder",
     "SOURCE is a source or a task. Its licence is shown first and has to be agreed to. What broke "
     "off is\ncontinued; what is there is kept.",
     suite_fetch_options, verb_suite_fetch},
    {"model", "import", "FILE FOLDER", 2, 2, "make a Hugging Face folder from another layout", "",
     import_options, verb_model_import},
    {"model", "get", "JOB FOLDER", 2, 2, "fetch the model that a training made, as a folder",
     "The folder is one that Hugging Face's transformers load; a training with 'lora' leaves its\n"
     "adapter in it, too (triad model adapter).",
     model_get_options, verb_model_get},
    {"model", "merge", "BASE ADAPTER FOLDER", 3, 3, "make one model of a model and a LoRA folder",
     "BASE is a Hugging Face folder, or hf:ORG/NAME@REVISION. ADAPTER is a folder as PEFT writes "
     "it:\n"
     "adapter_config.json and adapter_model.safetensors.",
     NULL, verb_model_merge},
    {"model", "adapter", "MODEL FOLDER", 2, 2,
     "take the LoRA folder out of a trained model's folder",
     "A training with 'lora' leaves a merged model, with its adapter beside it. The folder made "
     "is\n"
     "one that PEFT loads.",
     adapter_options, verb_model_adapter},
    {"model", "convert", "FROM FOLDER", 2, 2, "write a checkpoint again, as f32 or bf16",
     "FROM is a Hugging Face folder, or hf:ORG/NAME@REVISION. Tokenizer, template and the other "
     "small\n"
     "files go along unchanged; of a multimodal model the text half is written. Takes little "
     "memory.",
     dtype_options, verb_model_convert},
    {"model", "inspect", "FOLDER", 1, 1,
     "what a checkpoint is, what memory it takes, and what may surprise",
     "FOLDER is a Hugging Face folder, or hf:ORG/NAME@REVISION in the hub's local cache.",
     inspect_options, verb_model_inspect},
    {NULL, "generate", "FOLDER", 1, 1, "continue a text, or answer, with a model",
     "FOLDER is a Hugging Face folder, or hf:ORG/NAME@REVISION. A text ends where the model ends "
     "it, "
     "or\na turn.",
     generate_options, verb_generate},
    {NULL, "score", "FOLDER", 1, 1, "log-probability of every token of a text, or of a data set",
     "FOLDER is a Hugging Face folder, or hf:ORG/NAME@REVISION.", score_options, verb_score},
    {NULL, "tokenize", "MODEL", 1, 1, "pieces, ids and places of a text, and where the loss falls",
     "MODEL is a folder with tokenizer.json, that file, or hf:ORG/NAME. Places are bytes of the "
     "text. Text\n"
     "gives special tokens only with --special; texts of datasets never do.",
     tokenize_options, verb_tokenize},
    {"tokenizer", "train", "FILE...", 1, 4096, "learn a byte-level BPE vocabulary from texts",
     "Words never cross the pattern of Qwen3 (single digits). Equal texts give equal files in any "
     "order;\n"
     "other programs read them as they are.",
     tokenizer_train_options, verb_tokenizer_train},
    {"records", "export", "EXPERIMENT", 1, 1, "every evaluated item, with documented columns",
     "Columns: docs/records.md.", export_options, verb_records_export},
    {NULL, "curves", "JOB...", 1, 16, "loss, gradient norm, rate and speed of trainings, by step",
     "One row a step, whatever interruptions there were; several jobs are set side by side in a\n"
     "figure. MIB is what the training held in memory; JSON and CSV also say what it planned.",
     curves_options, verb_curves},
    {"metrics", "export", "JOB", 1, 1, "a training job's curves",
     "Columns: step, time, name, value.", job_options, verb_metrics_export},
    {"worker", "start", "", 0, 0, "run a worker here until it is stopped", "", worker_start_options,
     verb_worker_start},
    {"worker", "list", "", 0, 0, "workers and what they hold", "", NULL, verb_worker_list},
    {"worker", "show", "[WORKER]", 0, 1, "what workers fetched, from where, and what they serve",
     "COORDINATOR, PEERS and STORE are the bytes that a worker fetched through the coordinator's "
     "socket,\n"
     "from other workers, and by links or copies from a folder both see; SERVED is what it sent "
     "to\n"
     "others, HOLDS how many blobs it offers. They count from the worker's start. ACCUSED: others "
     "found\n"
     "wrong bytes in what it served.",
     NULL, verb_worker_show},
    {"worker", "drain", "WORKER", 1, 1, "let a worker finish what it holds and leave", "",
     drain_options, verb_worker_drain},
    {"worker", "release", "WORKER", 1, 1,
     "give work again to a worker whose host was put into quarantine", "", NULL,
     verb_worker_release},
    {"coordinator", "start", "", 0, 0, "run a coordinator here until it is stopped", "",
     coordinator_start_options, verb_coordinator_start},
    {"coordinator", "stop", "", 0, 0, "stop it; workers keep computing and wait for its return", "",
     NULL, verb_coordinator_stop},
    {"coordinator", "info", "", 0, 0, "version, sizes, counters", "", NULL, verb_coordinator_info},
    {NULL, "backup", "FOLDER", 1, 1, "copy the state into a new folder while work goes on",
     "FOLDER then holds what 'triad coordinator start --state FOLDER' needs: database, blobs and\n"
     "keys. Blobs are linked where the file system can.",
     NULL, verb_backup},
    {NULL, "gc", "", 0, 0, "find (and with --apply remove) blobs that nothing needs any more",
     "Needed are: outputs of done jobs; inputs and latest checkpoints of all others.", gc_options,
     verb_gc},
    {"keys", "init", "", 0, 0, "make the keys of a coordinator, its clients and its workers", "",
     keys_init_options, verb_keys_init},
    {"keys", "list", "", 0, 0, "who may connect", "", keys_options, verb_keys_list},
    {"keys", "export", "NAME", 1, 1, "let one more in: makes the one file to copy there",
     "Makes a new key called NAME, admits it under one role, and writes the access file that its\n"
     "owner needs. A running coordinator knows it within a second.",
     export_key_options, verb_keys_export},
    {"keys", "revoke", "NAME", 1, 1, "refuse a key from now on, on open connections too", "",
     keys_options, verb_keys_revoke},
    {"keys", "rotate", "ROLE", 1, 1, "replace the coordinator's own worker or client key",
     "The former key stays valid under a name of its own until it is revoked, so that what runs "
     "with it\n"
     "can be restarted one by one.",
     rotate_options, verb_keys_rotate},
    {"alloc", "add", "slurm [-- ARG...]", 1, 65,
     "get workers from a batch system when there is work",
     "Adds a queue: while jobs could run and no worker is free for them, the coordinator submits\n"
     "allocations with one worker each, never more than needed; workers without work leave. What "
     "follows\n"
     "-- goes to sbatch as it is. STATE must lie where compute nodes see it, or name "
     "--worker-access\n"
     "and --worker-dir; start the coordinator with --listen 0.0.0.0.",
     alloc_add_options, verb_alloc_add},
    {"alloc", "list", "", 0, 0, "queues of allocations, and the reason of their latest decision",
     "", NULL, verb_alloc_list},
    {"alloc", "show", "QUEUE", 1, 1, "its allocations, how they ended, and every decision", "",
     NULL, verb_alloc_show},
    {"alloc", "pause", "QUEUE", 1, 1, "ask for nothing more", "", NULL, verb_alloc_pause},
    {"alloc", "resume", "QUEUE", 1, 1, "ask again, also after a pause for errors", "", NULL,
     verb_alloc_resume},
    {"alloc", "remove", "QUEUE", 1, 1, "cancel its allocations and forget it", "", NULL,
     verb_alloc_remove},
    {"bench", "kernels", "", 0, 0, "rate of a shape's matrix products, beside OpenBLAS", "",
     bench_kernels_options, verb_bench_kernels},
    {"bench", "train", "", 0, 0, "training steps of a shape: share of sgemm, time by operation", "",
     bench_train_options, verb_bench_train},
    {"bench", "score", "", 0, 0, "scoring one sequence with a shape: rate, time by operation", "",
     bench_score_options, verb_bench_score},
    {"bench", "generate", "", 0, 0, "candidates and texts after one prompt, against one at a time",
     "", bench_generate_options, verb_bench_generate},
    {"bench", "dispatch", "", 0, 0,
     "measure a coordinator: jobs and records a second, its own cost",
     "Starts a coordinator and counts a job when its lease was sent after its commit and its "
     "result\n"
     "was received, committed and acknowledged. Encrypted connections, commits to the disk. The\n"
     "submission is timed apart; statuses are asked meanwhile.",
     bench_dispatch_options, verb_bench_dispatch},
    {NULL, "doctor", "", 0, 0, "look at this machine: cores, memory, numerics, disk, keys", "",
     NULL, verb_doctor},
    {NULL, "completion", "SHELL", 1, 1, "print the completion script of a shell (bash)", "", NULL,
     verb_completion},
    {NULL, "man", "", 0, 0, "print the man page (roff)", "", NULL, verb_man},
    {NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

enum cli_exit verb_completion(struct cli *cli)
{
    if (cli_print_completion(cli->arguments[0]) == 0)
        return EXIT_OK;
    struct err err;
    err_set(&err, ERR_INVALID, "no completion for '%s'; there is one for bash", cli->arguments[0]);
    return cli_fail(cli, &err);
}

enum cli_exit verb_man(struct cli *cli)
{
    (void)cli;
    cli_print_man();
    return EXIT_OK;
}

bool cli_verb_has_only_notes(const struct cli_verb *verb)
{
    static enum cli_exit (*const list[])(struct cli * cli) = {verb_watch,
                                                              verb_job_priority,
                                                              verb_experiment_pause,
                                                              verb_experiment_resume,
                                                              verb_experiment_priority,
                                                              verb_worker_drain,
                                                              verb_worker_release,
                                                              verb_coordinator_stop,
                                                              verb_backup,
                                                              verb_keys_init,
                                                              verb_keys_export,
                                                              verb_keys_revoke,
                                                              verb_keys_rotate,
                                                              verb_alloc_pause,
                                                              verb_alloc_resume,
                                                              verb_alloc_remove,
                                                              verb_model_get,
                                                              verb_model_merge,
                                                              verb_model_adapter};
    for (size_t i = 0; i < ARRAY_COUNT(list); i++)
        if (list[i] == verb->run)
            return true;
    return false;
}
