-- Which trace a message is part of: the id of the trace, 32 hex digits, and, where the trace is
-- sampled, "-" and the span that queued the message. Empty where nobody knows of one.
ALTER TABLE gateway_push_jobs ADD COLUMN trace text COLLATE "C" NOT NULL DEFAULT '';

-- For whoever looks for all that a message led to.
CREATE INDEX gateway_push_jobs_trace ON gateway_push_jobs (trace) WHERE trace <> '';
