export { checkLoginLink } from './access/check-login-link.js';
export { createApiKey, type NewApiKey } from './access/create-api-key.js';
export { createLoginLink } from './access/create-login-link.js';
export { endSessions } from './access/end-sessions.js';
export { ensureDefaultProject } from './access/ensure-default-project.js';
export { redeemLoginLink } from './access/redeem-login-link.js';
export { revokeApiKey } from './access/revoke-api-key.js';
export { verifyApiKey } from './access/verify-api-key.js';
export { verifySession } from './access/verify-session.js';
export { cancelAnalysis } from './analysis/cancel-analysis.js';
export { createAnalysis } from './analysis/create-analysis.js';
export { cancelAnalysing, finishAnalysis } from './analysis/finish-analysis.js';
export { getAnalysis } from './analysis/get-analysis.js';
export { getRunAnalyses, type RunAnalysesQuery } from './analysis/get-run-analyses.js';
export { type ListAnalyses, listAnalyses } from './analysis/list-analyses.js';
export { listAnalysisEvents } from './analysis/list-analysis-events.js';
export { type ListAnalysisRows, listAnalysisRows } from './analysis/list-analysis-rows.js';
export type { AnalyseJob } from './analysis/load-analyse-job.js';
export { markAnalysing, recordRows, startAnalysis } from './analysis/record-rows.js';
export { cancelEvaluation } from './evaluation/cancel-evaluation.js';
export { type CompareEvaluations, compareEvaluations } from './evaluation/compare-evaluations.js';
export { createEvaluation } from './evaluation/create-evaluation.js';
export { cancelEvaluating, finishEvaluation } from './evaluation/finish-evaluation.js';
export { type EvaluationNews, type FollowEvaluation, followEvaluation } from './evaluation/follow-evaluation.js';
export { getEvaluation } from './evaluation/get-evaluation.js';
export { listEvaluationEvents } from './evaluation/list-evaluation-events.js';
export { type ListEvaluationItems, listEvaluationItems } from './evaluation/list-evaluation-items.js';
export { type ListEvaluationTasks, listEvaluationTasks } from './evaluation/list-evaluation-tasks.js';
export type { EvaluateJob } from './evaluation/load-evaluate-job.js';
export { markEvaluating, recordItems, startEvaluation } from './evaluation/record-items.js';
export { advanceExperiment, advanceExperiments } from './experiments/advance.js';
export { cancelExperiment, pauseExperiment, resumeExperiment } from './experiments/change-experiment.js';
export { cloneExperiment } from './experiments/clone-experiment.js';
export { createExperiment } from './experiments/create-experiment.js';
export { getExperiment, type ListExperiments, listExperiments } from './experiments/get-experiment.js';
export {
  getExperimentCurves,
  getExperimentFrontier,
  getExperimentReport,
  getExperimentTable,
} from './experiments/get-experiment-results.js';
export { getExperimentVerdict } from './experiments/get-experiment-verdict.js';
export { growExperiment } from './experiments/grow-experiment.js';
export { loadOutcome } from './experiments/load-outcome.js';
export { startBeat } from './ground/beat.js';
export type { BlobEntry, BlobStore, StoredBlob } from './ground/blob-store.js';
export { collectStaleUploads } from './ground/collect-stale-uploads.js';
export { type Actor, type AttemptToken, openServices, type Services, type ServicesOptions } from './ground/context.js';
export { describeError } from './ground/describe-error.js';
export { fetchFile, fetchFolder } from './ground/fetch-blobs.js';
export type { Repeatable } from './ground/find-repeated.js';
export { followRuns, type RunEntry } from './ground/follow-runs.js';
export { createFsBlobStore } from './ground/fs-blob-store.js';
export { listenControl } from './ground/listen-control.js';
export { openLogDestination } from './ground/log-destination.js';
export { migrate } from './ground/migrate.js';
export type { Page } from './ground/paging.js';
export type { PoolState } from './ground/pool.js';
export { proveWrite } from './ground/prove-write.js';
export { notify, type Outgoing, publish } from './ground/publish.js';
export { type ControlMessage, publishControl } from './ground/publish-control.js';
export { REDIS_WAIT_MS, type RedisLink } from './ground/redis-link.js';
export { isServerAway } from './ground/server-away.js';
export { describeSize, freeBytes, isDiskFault, isStorageFull } from './ground/storage-full.js';
export { addToUpload, discardUpload, startUpload, type Upload, type UploadedFile } from './ground/upload.js';
export { type HeldWakeUp, openWakeConsumer, type WakeConsumer } from './ground/wake-consumer.js';
export { type Claim, claimRun } from './kinds/claim-run.js';
export { failAttempt, holdAttempt, releaseAttempt } from './kinds/end-attempt.js';
export { type ListQueue, listQueue } from './kinds/list-queue.js';
export { addModelFile } from './library/add-model-file.js';
export { addUploadPart, partBytesMax } from './library/add-upload-part.js';
export { cancelUpload } from './library/cancel-upload.js';
export { completeUpload } from './library/complete-upload.js';
export { type CreateAdapter, createAdapter } from './library/create-adapter.js';
export { type CreateBase, createBase } from './library/create-base.js';
export { createBaseFromDir } from './library/create-base-from-dir.js';
export { type CreateFile, createFile } from './library/create-file.js';
export { createUpload } from './library/create-upload.js';
export { deleteFile } from './library/delete-file.js';
export { deleteModel } from './library/delete-model.js';
export { type DownloadBase, downloadBase } from './library/download-base.js';
export { type DownloaderOptions, startDownloader } from './library/downloader.js';
export { fineTunedModelName } from './library/fine-tuned-model-name.js';
export { getFile } from './library/get-file.js';
export { getFileValidation } from './library/get-file-validation.js';
export { getModel } from './library/get-model.js';
export { type ListFiles, listFiles } from './library/list-files.js';
export { listModels } from './library/list-models.js';
export { openFile } from './library/open-file.js';
export { type PreviewQuery, previewStoredFile } from './library/preview-stored-file.js';
export { splitStoredFile } from './library/split-stored-file.js';
export { resumeFileValidation } from './library/validate-stored-file.js';
export { type Reconciler, type ReconcilerOptions, startReconciler } from './reconcile/reconciler.js';
export type { Retention } from './reconcile/retention.js';
export { askForProcess } from './serving/ask-for-process.js';
export { type ChosenProcess, chooseProcess } from './serving/choose-process.js';
export { findBaseByHash, type ServedBase } from './serving/find-base-by-hash.js';
export { findServed, type ServedModel, type TunedPlace } from './serving/find-served.js';
export { findTrained } from './serving/find-trained.js';
export { getAdapter } from './serving/get-adapter.js';
export { heartbeatProcess, type ProcessNews, type ResidentAdapter } from './serving/heartbeat-process.js';
export { listAdapters } from './serving/list-adapters.js';
export { listLivingAddresses } from './serving/list-living-addresses.js';
export { listReadyProcesses } from './serving/list-ready-processes.js';
export { loseProcess } from './serving/lose-process.js';
export { type NewProcess, PROCESS_LEASE_MS, registerProcess } from './serving/register-process.js';
export { retireProcess } from './serving/retire-process.js';
export { withPlaces } from './serving/with-places.js';
export { cancelRun } from './training/cancel-run.js';
export { createRun } from './training/create-run.js';
export { deleteRun, restoreRun } from './training/delete-run.js';
export { estimateRun } from './training/estimate-run.js';
export { cancelAttempt, type Finish, finishAttempt } from './training/finish-attempt.js';
export { getRun } from './training/get-run.js';
export { ingestMetrics, type StepMetrics } from './training/ingest-metrics.js';
export { listCheckpoints } from './training/list-checkpoints.js';
export { listEvaluations } from './training/list-evaluations.js';
export { type ListRuns, listRuns } from './training/list-runs.js';
export type { Job, JobCheckpoint, JobFile } from './training/load-job.js';
export type { VerifyJob } from './training/load-verify-job.js';
export { type ExportQuery, type MakeExport, openAdapter } from './training/open-adapter.js';
export { pauseRun, resumeRun } from './training/pause-run.js';
export { type MetricsQuery, readMetrics, readMetricsText } from './training/read-metrics.js';
export {
  cancelVerification,
  checkEvent,
  finishVerification,
  recordOwnCheck,
  startVerification,
} from './training/record-check.js';
export { recordCheckpoint } from './training/record-checkpoint.js';
export { recordEvaluation } from './training/record-evaluation.js';
export { recordExports } from './training/record-exports.js';
export { recordResultFile } from './training/record-result-file.js';
export { requireRun, requireRuns } from './training/require-run.js';
export { type SearchRuns, searchRuns } from './training/search-runs.js';
export { markRunning, startAttempt } from './training/start-attempt.js';
export { verifyRun } from './training/verify-run.js';
export { type ListDeliveries, listDeliveries, replayDelivery, testWebhook } from './webhooks/deliveries.js';
export {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhooks,
  rotateWebhook,
  updateWebhook,
  type WebhookOptions,
} from './webhooks/manage-webhooks.js';
export { type SenderOptions, startWebhookSender, type WebhookSender } from './webhooks/send-webhooks.js';
export type { Wish } from './work/ask-to-stop.js';
export { cordonWorker, drainWorker, uncordonWorker } from './work/ask-worker.js';
export { LEASE_MS, type Room } from './work/claim.js';
export { type Count, countWork } from './work/count-work.js';
export type { Failure } from './work/end-attempt.js';
export { type Heartbeat, heartbeatWorker, type WorkerWish } from './work/heartbeat-worker.js';
export { listEvents } from './work/list-events.js';
export { type LogsQuery, listLogs } from './work/list-logs.js';
export { listPools } from './work/list-pools.js';
export { listWorkers } from './work/list-workers.js';
export { type Offer, offerTask, withdrawOffer } from './work/offer-task.js';
export { eventMessage, type NewEvent, recordEvent, recordEvents } from './work/record-event.js';
export { type NewLogLine, recordLogs } from './work/record-logs.js';
export { type NewWorker, registerWorker, type WorkerDevice } from './work/register-worker.js';
export { renewLease } from './work/renew-lease.js';
export { retireWorker } from './work/retire-worker.js';
export { canMove } from './work/transition.js';
export type { Verdict } from './work/verdict.js';
