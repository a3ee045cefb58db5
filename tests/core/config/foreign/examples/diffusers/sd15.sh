#!/bin/bash
# Stable Diffusion 1.5 on five pictures of a dog
export MODEL_NAME="stable-diffusion-v1-5/stable-diffusion-v1-5"
export INSTANCE_DIR="data/dog"
export OUTPUT_DIR="out/dog"

accelerate launch --num_processes=1 --mixed_precision="fp16" train_dreambooth_lora.py \
  --pretrained_model_name_or_path=$MODEL_NAME  \
  --instance_data_dir=${INSTANCE_DIR} \
  --output_dir=$OUTPUT_DIR \
  --instance_prompt="a photo of sks dog" \
  --class_data_dir 'data/dog class' \
  --class_prompt 'a photo of a dog' \
  --with_prior_preservation --prior_loss_weight 0.8 \
  --num_class_images=50 \
  --resolution=512 \
  --train_batch_size=1 \
  --gradient_accumulation_steps=2 \
  --checkpointing_steps=100 \
  --learning_rate=1e-4 \
  --lr_scheduler="constant" \
  --lr_warmup_steps=0 \
  --max_train_steps=500 \
  --validation_prompt="A photo of sks dog in a bucket; 50 % off & \$5" \
  --validation_epochs=50 \
  --use_8bit_adam \
  --seed="0" \
  --report_to none \
  --something_new a b

echo done
