export { NotImplemented } from './not-implemented.ts';
export {
  Wrong,
  CannotCheck,
  expectSame,
  expectThat,
  type Exercise,
  type WrongAnswer,
  type Trial,
} from './exercise.ts';
export { inChild, type WaitingChild } from './trial-child.ts';
export {
  act,
  demo,
  interruptSignal,
  pressEnter,
  type Demo,
  type Step,
  type StepRecord,
  type Cleaner,
} from './demo-kit.ts';
export { runInForeground } from './foreground.ts';
export { makeExecutable, type ExecutableOptions } from './executable.ts';
export {
  libc,
  declare,
  lastErrno,
  c_exit as _exit,
  c_getpid as getpid,
  c_getppid as getppid,
} from './syscalls.ts';
export { SyscallError, checked, errnoName, isErrno } from './errors.ts';
export {
  fork,
  keepMemoryForChildren,
  runChild,
  isSingleThreaded,
  singleThreaded,
  waitpid,
  waitAsync,
  decodeWaitStatus,
  exitCode,
  execve,
  setCloseOnExec,
  pipe,
  dup2,
  closeQuietly,
  WNOHANG,
  WUNTRACED,
  WCONTINUED,
  type WaitStatus,
} from './fork.ts';
export {
  SIGNALS,
  signalNumber,
  signalName,
  signalsOf,
  kill,
  isAlive,
  resetSignalsForExec,
} from './signals.ts';
export {
  PR,
  prctl,
  SECBIT,
  getSecurebits,
  setSecurebits,
  setSubreaper,
  setNoNewPrivs,
  setParentDeathSignal,
  setsid,
} from './prctl.ts';
export {
  ifAlive,
  listPids,
  readStat,
  isRunning,
  parseStat,
  readCmdline,
  readEnviron,
  readCgroups,
  namespacesOf,
  readThreads,
  readLimits,
  readSmapsRollup,
  type Pid,
  type ProcStat,
  type Thread,
  type CgroupMembership,
  type Limit,
} from './proc.ts';
export { readFds, readExe, rootOf, readRootAndCwd, type OpenFile, type Executable } from './links.ts';
export { readStatus, type ProcStatus, type Ids } from './status.ts';
export { readMountinfo, parseMountinfoLine, type MountInfo } from './mountinfo.ts';
export { CAPABILITIES, DOCKER_CAPABILITIES, type Capability } from './capability-names.ts';
export {
  readCapabilities,
  parseCapability,
  knownCapabilities,
  setCapabilities,
  limitBounding,
  inBounding,
  raiseAmbient,
  lowerAmbient,
  clearAmbient,
  maskOf,
  namesOf,
  type CapabilitySets,
} from './capabilities.ts';
export {
  readFileCapabilities,
  parseFileCapabilities,
  setFileCapabilities,
  formatFileCapabilities,
  ROOTS_FILE,
  type FileCapabilities,
} from './file-capabilities.ts';
export { afterExec, type Execution } from './exec-capabilities.ts';
export {
  openPty,
  setControllingTerminal,
  setWindowSize,
  getWindowSize,
  restOfTerminal,
  type Pty,
  type WindowSize,
} from './pty.ts';
export { processTree, linkTree, subtree, type ProcessNode } from './tree.ts';
export { describeProcess, formatPsTree, formatPstree, terminalName } from './draw-tree.ts';
