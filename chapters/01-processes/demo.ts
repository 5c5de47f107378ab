import { attack, intoRoot, noMachine, remedy } from './demo-attack.ts';
import { lifetime, orphan, zombie } from './demo-life.ts';
import { folder, moment, tree } from './demo-proc.ts';
import { capabilities, execution } from './demo-rights.ts';
import { pidOne, signals, terminal } from './demo-signals.ts';
import { demo } from './index.ts';

await demo('01 processes: a container is a process', async (d) => {
  await d.step('A process is a folder in /proc', {
    why: 'Whatever Docker tells about a container, it reads here. There is no other place.',
    run: folder,
  });
  await d.step('What /proc says is true for a moment', {
    why: 'Names lie, programs are replaced while they run, and processes end while one looks.',
    run: moment,
  });
  await d.step('The tree', {
    why: 'Each process knows its parent. ps and pstree only draw that; here they are, made from /proc.',
    run: tree,
  });
  await d.step('fork, exec, wait', {
    why: 'A copy of this program, then another program in its place, then its last word: the exit status.',
    run: lifetime,
  });
  await d.step('A zombie', {
    why: 'An ended process stays in the table until its parent has asked for the status. PID 1 of a container that never asks fills the table.',
    run: zombie,
  });
  await d.step('An orphan finds a parent', {
    why: 'When a parent ends, its children go to PID 1, or to the nearest subreaper above. That is how a shim keeps a container after runc has gone.',
    run: orphan,
  });
  await d.step('Signals', {
    why: 'docker stop, kill and pause are signals. A process may ignore or catch all but two.',
    run: signals,
  });
  await d.step('PID 1 is not like the others', {
    why: 'The first process of a container is PID 1 of its namespace, and the kernel protects that one: why docker stop so often takes ten seconds.',
    run: pidOne,
  });
  await d.step('A session and its terminal', {
    why: 'docker run -it: the shim holds one end, and the container takes the other for a terminal. Ctrl-C is a byte on one side and a signal on the other.',
    run: terminal,
  });
  await d.step('Root in pieces: capabilities', {
    why: 'The kernel never asks “is it root?” but “has it this capability?”. A container’s root has 14 of 41.',
    run: capabilities,
  });
  await d.step('What execve makes of capabilities', {
    why: 'Between fork and exec the rights are arranged; what the program then has, is decided by a formula of two partners: the process and the file.',
    run: execution,
  });
  await d.step('A file put into another process’s root', {
    why: 'docker cp writes into a running container. /proc/PID/root is a door into the files of any process, whatever its root is.',
    run: intoRoot,
  });
  await d.step('A process is no virtual machine', {
    why: 'What makes containers cheap is what makes them thin-walled: there is one kernel, for everyone.',
    run: noMachine,
  });
  await d.step('Attack: what root reaches without isolation', {
    why: 'A process with its own program is still in the same world as all others.',
    run: attack,
  });
  await d.step('The remedy, and what is left to do', {
    why: 'Another user, and fewer capabilities: the two walls that there are without namespaces.',
    run: remedy,
  });
});
