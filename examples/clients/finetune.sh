# Upload a file, queue a run, read it back. Wants OPENAI_BASE_URL and OPENAI_API_KEY: eval "$(npx moraine env)"
auth="Authorization: Bearer $OPENAI_API_KEY"
file=$(curl -sf "$OPENAI_BASE_URL/files" -H "$auth" -F purpose=fine-tune -F file=@examples/tasks/record-train.jsonl |
  sed 's/.*"id":"\(file-[a-z0-9]*\)".*/\1/')
run=$(curl -sf "$OPENAI_BASE_URL/fine_tuning/jobs" -H "$auth" -H 'Content-Type: application/json' -d '{
  "model": "moraine-tiny", "training_file": "'"$file"'", "max_steps": 50,
  "adapter": {"type": "mora", "rank": 8}, "optimizer": {"learning_rate": 0.002}
}' | sed 's/.*"id":"\(ftjob-[a-z0-9]*\)".*/\1/')
curl -sf "$OPENAI_BASE_URL/fine_tuning/jobs/$run" -H "$auth"
