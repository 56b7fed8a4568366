list(APPEND TRIAD_LM_SOURCES
    bpe.c checkpoint.c convert_llama2c.c family_gemma3.c family_llama.c family_qwen3.c intern.c json_field.c llama2c_tokenizer.c model_config.c
    model_config_parse.c model_family.c
    safetensors.c safetensors_write.c special_tokens.c tensor_spec.c text_split.c tokenizer.c
    tokenizer_build.c tokenizer_json.c tokenizer_layout.c tokenizer_print.c tokenizer_train.c
    utf8.c)
