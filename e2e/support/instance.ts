/**
 * The instance under test: `./aristobot up` on a port and a data folder of its own.
 *
 * Invariant: it ends with the tests. Its logs stay in `results/logs`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { findDescendant } from './processes.ts'

export const PASSWORD = 'une-phrase-de-passe-42'
export const RESULTS = resolve(import.meta.dirname, '..', 'results')
const ROOT = resolve(import.meta.dirname, '..', '..')
const READY = 'Aristobot est prêt : '
const START_TIMEOUT_MS = 5 * 60_000 // the first start also installs and builds
const STOP_TIMEOUT_MS = 40_000

/** The address of the instance, told to the workers by the environment. */
export function instanceUrl(): string {
  const url = process.env.ARISTOBOT_E2E_URL
  if (!url) throw new Error('the global setup did not start an instance')
  return url
}

interface Run {
  pid: number
  environment: Record<string, string>
}

function run(): Run {
  return JSON.parse(readFileSync(join(process.env.ARISTOBOT_E2E_DATA ?? '', 'run.json'), 'utf8')) as Run
}

/** The address of the instance's simulated exchange. */
export function exchangeUrl(): string {
  return run().environment.SIMEX_URL
}

/** Ends a process of the instance as a crash would; the launcher is expected to start it again. */
function kill(mark: string): number {
  const pid = findDescendant(run().pid, mark)
  if (pid === null) throw new Error(`no process « ${mark} » is running: nothing to kill`)
  process.kill(pid, 'SIGKILL')
  return pid
}

export const killWebServer = (): number => kill('aristobot.asgi')

/** Ends terminal 5, which alone speaks to the exchange. */
export const killGateway = (): number => kill('run_ccxt_service')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((done) => server.close(done))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function environment(): NodeJS.ProcessEnv {
  const own = { ...process.env }
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'SECRET_KEY', 'ARISTOBOT_DATA_DIR', 'FRONTEND_DIST', 'HEARTBEAT_SYMBOLS']) delete own[name]
  return { ...own, ARISTOBOT_DEV_PASSWORD: PASSWORD, ARISTOBOT_DAC_PASSWORD: PASSWORD, DEBUG_ARISTOBOT: 'True', PYTHONUNBUFFERED: '1' }
}

/** A command line under which the kernel stops the instance when the tests themselves are killed (Linux). */
function dyingWithUs(command: string[]): string[] {
  const setpriv = '/usr/bin/setpriv'
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'INT', ...command] : command
}

async function untilReady(child: ChildProcess, output: string[]): Promise<void> {
  await new Promise<void>((ready, fail) => {
    const stop = (why: string): void => fail(new Error(`${why}\n${output.join('').slice(-4000)}`))
    const timer = setTimeout(() => stop(`\`aristobot up\` was not ready in ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS)
    const read = (chunk: Buffer): void => {
      output.push(chunk.toString())
      if (!output.join('').includes(READY)) return
      clearTimeout(timer)
      ready()
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('exit', (code) => stop(`\`aristobot up\` ended with code ${code}`))
    child.once('error', (error) => stop(String(error)))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await ended
  clearTimeout(timer)
}

/** Starts an instance, publishes its address to the workers, and returns what ends it. */
export async function startInstance(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'aristobot-e2e-'))
  const dataDir = join(folder, 'data')
  const port = await freePort()
  const options = ['--no-browser', '--port', String(port), '--data-dir', dataDir, '--feed', 'walk', '--speed', '60']
  const [program, ...rest] = dyingWithUs([join(ROOT, 'aristobot'), 'up', ...options])
  const output: string[] = []
  const child = spawn(program, rest, { cwd: ROOT, env: environment(), stdio: ['ignore', 'pipe', 'pipe'] })
  const end = async (): Promise<void> => {
    await stop(child)
    const logs = join(dataDir, 'logs')
    rmSync(join(RESULTS, 'logs'), { recursive: true, force: true })
    if (existsSync(logs)) cpSync(logs, join(RESULTS, 'logs'), { recursive: true })
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await untilReady(child, output)
  } catch (error) {
    await end()
    throw error
  }
  process.env.ARISTOBOT_E2E_URL = `http://127.0.0.1:${port}`
  process.env.ARISTOBOT_E2E_DATA = dataDir
  return end
}
