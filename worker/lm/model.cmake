list(APPEND TRIAD_LM_SOURCES
    batch.c branch.c branch_sample.c corpus.c evaluator.c loss_watch.c model.c model_layer.c model_pack.c
    model_rope.c model_space.c optimizer.c params.c
    sample_draw.c sampler.c schedule.c stored_weights.c train_state.c trainer.c)
