export { apiClient, ConnectionError, DaemonError, type ApiClient, type ApiRequest } from './api-client.ts';
export { boot, type RunningDaemon } from './boot.ts';
export { daemonEnvironment, parseDaemonOptions, UsageError, type DaemonOptions } from './daemon-options.ts';
