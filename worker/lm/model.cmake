list(APPEND TRIAD_LM_SOURCES
    adapter.c batch.c branch.c branch_sample.c corpus.c evaluator.c layer_adapter.c loss_watch.c model.c
    model_layer.c model_pack.c model_rope.c model_space.c optimizer.c params.c peft.c peft_merge.c
    sample_draw.c sampler.c schedule.c train_memory.c train_state.c trainer.c)
# Evaluations that ask what follows a prompt, and restricted answers.
list(APPEND TRIAD_LM_SOURCES prompts.c prompts_choices.c prompts_samples.c restriction.c)
