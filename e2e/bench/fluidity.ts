/**
 * How fluid the trading page stays under a storm of market events, and what each kind of event costs.
 *
 * Run with `node e2e/bench/fluidity.ts` (`--seconds 6`, `--width 1920`, `--trace FILE`); an instance is started
 * unless `ARISTOBOT_E2E_URL` and `ARISTOBOT_E2E_DATA` name one that runs. The events are made in the page and
 * enter by its real socket's `onmessage`, as text, so that all that a real event costs is paid. Nothing is
 * asserted: frames a second depend on the machine. What can be compared between two versions on one machine is
 * the time of the page's main thread per second of storm, said beside them.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type CDPSession, chromium, type Page } from '@playwright/test'
import { BROWSER_OPTIONS, chromiumPath } from '../support/browser.ts'
import { instanceUrl, PASSWORD, startInstance } from '../support/instance.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' }, width: { type: 'string', default: '1920' }, trace: { type: 'string' } } })
const SECONDS = Number(values.seconds)

/** Events a second of each kind. */
interface Storm {
  name: string
  book: number
  candle: number
  ticker: number
}
const STORMS: Storm[] = [
  { name: 'quiet', book: 0, candle: 0, ticker: 0 },
  { name: '50 books', book: 50, candle: 0, ticker: 0 },
  { name: '10 candles', book: 0, candle: 10, ticker: 0 },
  { name: '10 tickers', book: 0, candle: 0, ticker: 10 },
  { name: '50 books, 10 candles, 10 tickers', book: 50, candle: 10, ticker: 10 },
]

interface Frames {
  frames: number
  /** Worst and 95th percentile of the time between two frames. */
  worstMs: number
  p95Ms: number
  longTasks: number
}

declare global {
  interface Window {
    aristobotSocket?: WebSocket
  }
}

/** Keeps the terminal's socket at hand, and stops what the server says of the market: the storm takes its place. */
function keepSocket(): void {
  const Native = window.WebSocket
  window.WebSocket = class extends Native {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      if (!String(url).endsWith('/ws/trading/')) return
      window.aristobotSocket = this
      this.addEventListener('message', (event: MessageEvent<string>) => {
        if (event.isTrusted && event.data.includes('"topic":"market"') && !event.data.includes('"feed"')) event.stopImmediatePropagation()
      })
    }
  }
}

/** Sends the storm to the page for some seconds, and counts its frames. Runs in the page. */
async function rage({ storm, seconds, broker }: { storm: Storm; seconds: number; broker: number }): Promise<Frames> {
  const head = { broker, symbol: 'BTC/USDT' }
  let price = 47_000
  const step = (): number => (price = Math.max(1000, price + (Math.random() - 0.5) * 8))
  const side = (sign: number): string[][] => Array.from({ length: 20 }, (_, at) => [(price + sign * (at + 1) * 0.01 * (1 + Math.floor(Math.random() * 90))).toFixed(2), (Math.random() * 3).toFixed(5)])
  const bar = [Math.floor(Date.now() / 300_000) * 300_000, price, price, price, price, 1]
  const makers = {
    book: () => ({ ...head, bids: side(-1), asks: side(1), at: new Date().toISOString() }),
    candle: () => {
      const last = step()
      bar[2] = Math.max(bar[2], last)
      bar[3] = Math.min(bar[3], last)
      bar[4] = last
      bar[5] += 0.1
      return { ...head, timeframe: '5m', candle: bar.map((value) => Number(value.toFixed(2))), closed: false }
    },
    ticker: () => ({ ...head, last: step().toFixed(2), change_24h_ratio: '0.0123', high: '48000', low: '46000', volume: (1000 + Math.random()).toFixed(5) }),
  }
  const say = (type: keyof typeof makers): void => {
    const text = JSON.stringify({ v: 1, topic: 'market', type, data: makers[type](), sent_at: '' })
    window.aristobotSocket?.dispatchEvent(new MessageEvent('message', { data: text }))
  }
  const timers = (['book', 'candle', 'ticker'] as const).filter((type) => storm[type] > 0).map((type) => setInterval(() => say(type), 1000 / storm[type]))
  const gaps: number[] = []
  let longTasks = 0
  const observer = new PerformanceObserver((list) => (longTasks += list.getEntries().length))
  observer.observe({ type: 'longtask' })
  await new Promise<void>((done) => {
    const start = performance.now()
    let before = start
    const frame = (now: number): void => {
      gaps.push(now - before)
      before = now
      if (now - start < seconds * 1000) requestAnimationFrame(frame)
      else done()
    }
    requestAnimationFrame(frame)
  })
  timers.forEach(clearInterval)
  observer.disconnect()
  gaps.sort((a, b) => a - b)
  return { frames: gaps.length / seconds, worstMs: gaps.at(-1) ?? 0, p95Ms: gaps[Math.floor(gaps.length * 0.95)], longTasks }
}

const METRICS = { tasks: 'TaskDuration', scripts: 'ScriptDuration', style: 'RecalcStyleDuration', layout: 'LayoutDuration' } as const

async function durations(session: CDPSession): Promise<Record<keyof typeof METRICS, number>> {
  const { metrics } = (await session.send('Performance.getMetrics')) as { metrics: { name: string; value: number }[] }
  const of = (name: string): number => metrics.find((one) => one.name === name)?.value ?? 0
  return Object.fromEntries(Object.entries(METRICS).map(([key, name]) => [key, of(name)])) as Record<keyof typeof METRICS, number>
}

async function measure(page: Page, session: CDPSession, storm: Storm, broker: number): Promise<void> {
  const before = await durations(session)
  const seen = await page.evaluate(rage, { storm, seconds: SECONDS, broker })
  const after = await durations(session)
  const perSecond = (key: keyof typeof METRICS): string => `${Math.round(((after[key] - before[key]) / SECONDS) * 1000)}`.padStart(4)
  console.log(
    `${storm.name.padEnd(34)} ${seen.frames.toFixed(1).padStart(5)} frames/s  gap p95 ${seen.p95Ms.toFixed(0).padStart(4)} ms, worst ${seen.worstMs.toFixed(0).padStart(4)} ms  ` +
      `main thread ${perSecond('tasks')} ms/s (scripts ${perSecond('scripts')}, style ${perSecond('style')}, layout ${perSecond('layout')})  long tasks ${seen.longTasks}`,
  )
}

async function traced(page: Page, session: CDPSession, broker: number, file: string): Promise<void> {
  const events: object[] = []
  session.on('Tracing.dataCollected', ({ value }: { value: object[] }) => events.push(...value))
  await session.send('Tracing.start', { transferMode: 'ReportEvents', categories: 'devtools.timeline,disabled-by-default-devtools.timeline,disabled-by-default-v8.cpu_profiler,toplevel,cc,viz' } as never)
  await page.evaluate(rage, { storm: STORMS[STORMS.length - 1], seconds: SECONDS, broker })
  const done = new Promise((ended) => session.once('Tracing.tracingComplete', ended))
  await session.send('Tracing.end')
  await done
  writeFileSync(file, JSON.stringify({ traceEvents: events }))
}

async function main(): Promise<void> {
  const stop = process.env.ARISTOBOT_E2E_URL ? null : await startInstance()
  const browser = await chromium.launch({ executablePath: await chromiumPath(), args: BROWSER_OPTIONS })
  try {
    const width = Number(values.width)
    const page = await browser.newPage({ viewport: { width, height: Math.round((width * 9) / 16) }, locale: 'fr-FR' })
    const url = instanceUrl()
    await page.request.get(`${url}/api/session/`)
    const token = (await page.context().cookies()).find((cookie) => cookie.name === 'csrftoken')?.value ?? ''
    await page.request.post(`${url}/api/session/login/`, { data: { username: 'dev', password: PASSWORD }, headers: { 'X-CSRFToken': token } })
    const { results } = (await (await page.request.get(`${url}/api/brokers/`)).json()) as { results: { id: number; exchange: string }[] }
    const broker = results.find((one) => one.exchange === 'simex')?.id ?? 0
    await page.addInitScript(keepSocket)
    await page.goto(`${url}/trading`)
    await page.getByRole('img', { name: /Bougies BTC\/USDT/ }).waitFor()
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable', { timeDomain: 'threadTicks' })
    if (values.trace) await traced(page, session, broker, values.trace)
    else for (const storm of STORMS) await measure(page, session, storm, broker)
  } finally {
    await browser.close()
    await stop?.()
  }
}

await main()
