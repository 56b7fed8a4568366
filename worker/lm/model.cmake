list(APPEND TRIAD_LM_SOURCES batch.c corpus.c params.c sample_draw.c schedule.c)
if(TARGET triad_kernels)
    list(APPEND TRIAD_LM_SOURCES
        evaluator.c model.c model_layer.c model_pack.c model_space.c optimizer.c sampler.c
        train_state.c trainer.c)
endif()
