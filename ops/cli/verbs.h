/* What each verb does; one file per noun or verb. All return an exit code after having said what
 * went wrong. */
#ifndef TRIAD_VERBS_H
#define TRIAD_VERBS_H

#include "cli.h"

enum cli_exit verb_bench_kernels(struct cli *cli);
enum cli_exit verb_bench_train(struct cli *cli);
enum cli_exit verb_bench_score(struct cli *cli);
enum cli_exit verb_bench_generate(struct cli *cli);
enum cli_exit verb_run(struct cli *cli);
enum cli_exit verb_plan(struct cli *cli);
enum cli_exit verb_submit(struct cli *cli);
enum cli_exit verb_status(struct cli *cli);
enum cli_exit verb_watch(struct cli *cli);
enum cli_exit verb_job_list(struct cli *cli);
enum cli_exit verb_job_show(struct cli *cli);
enum cli_exit verb_job_logs(struct cli *cli);
enum cli_exit verb_job_cancel(struct cli *cli);
enum cli_exit verb_job_retry(struct cli *cli);
enum cli_exit verb_job_release(struct cli *cli);
enum cli_exit verb_job_priority(struct cli *cli);
enum cli_exit verb_job_explain(struct cli *cli);
enum cli_exit verb_experiment_pause(struct cli *cli);
enum cli_exit verb_experiment_resume(struct cli *cli);
enum cli_exit verb_experiment_priority(struct cli *cli);
enum cli_exit verb_backup(struct cli *cli);
enum cli_exit verb_gc(struct cli *cli);
enum cli_exit verb_bench_dispatch(struct cli *cli);
enum cli_exit verb_worker_start(struct cli *cli);
enum cli_exit verb_worker_list(struct cli *cli);
enum cli_exit verb_worker_show(struct cli *cli);
enum cli_exit verb_worker_drain(struct cli *cli);
enum cli_exit verb_worker_release(struct cli *cli);
enum cli_exit verb_coordinator_start(struct cli *cli);
enum cli_exit verb_coordinator_stop(struct cli *cli);
enum cli_exit verb_coordinator_info(struct cli *cli);
enum cli_exit verb_records_export(struct cli *cli);
enum cli_exit verb_metrics_export(struct cli *cli);
enum cli_exit verb_curves(struct cli *cli);
enum cli_exit verb_model_get(struct cli *cli);
enum cli_exit verb_model_merge(struct cli *cli);
enum cli_exit verb_model_adapter(struct cli *cli);
enum cli_exit verb_report(struct cli *cli);
enum cli_exit verb_alloc_add(struct cli *cli);
enum cli_exit verb_alloc_list(struct cli *cli);
enum cli_exit verb_alloc_show(struct cli *cli);
enum cli_exit verb_alloc_pause(struct cli *cli);
enum cli_exit verb_alloc_resume(struct cli *cli);
enum cli_exit verb_alloc_remove(struct cli *cli);
enum cli_exit verb_keys_init(struct cli *cli);
enum cli_exit verb_keys_list(struct cli *cli);
enum cli_exit verb_keys_export(struct cli *cli);
enum cli_exit verb_keys_revoke(struct cli *cli);
enum cli_exit verb_keys_rotate(struct cli *cli);
enum cli_exit verb_doctor(struct cli *cli);
enum cli_exit verb_model_import(struct cli *cli);
enum cli_exit verb_model_convert(struct cli *cli);
enum cli_exit verb_model_inspect(struct cli *cli);
enum cli_exit verb_generate(struct cli *cli);
enum cli_exit verb_score(struct cli *cli);
enum cli_exit verb_suite_list(struct cli *cli);
enum cli_exit verb_suite_show(struct cli *cli);
enum cli_exit verb_suite_sample(struct cli *cli);
enum cli_exit verb_suite_check(struct cli *cli);
enum cli_exit verb_suite_stats(struct cli *cli);
enum cli_exit verb_suite_fetch(struct cli *cli);
enum cli_exit verb_tokenize(struct cli *cli);
enum cli_exit verb_tokenizer_train(struct cli *cli);
enum cli_exit verb_completion(struct cli *cli);
enum cli_exit verb_man(struct cli *cli);

#endif
