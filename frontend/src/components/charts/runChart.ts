/** The drawing of a backtest: candles with its trades, equity beside buy-and-hold, drawdown. No Vue here. */
import {
  AreaSeries, BaselineSeries, CandlestickSeries, createChart, createSeriesMarkers, LineSeries, TickMarkType,
  type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi, type LogicalRange, type SeriesMarker, type Time, type UTCTimestamp,
} from 'lightweight-charts'
import { themes, type ThemeName } from '@/design-system/tokens'
import { formatNumber, formatRatio } from '@/utils/format'
import { formatClock, formatDay, formatStamp, type Zone } from '@/utils/time'

/** [open time in ms, open, high, low, close, volume] */
export type ChartCandle = readonly number[]

/** Columns of equal length; `time` in ms, `drawdown` a positive ratio from the peak. */
export interface Curve {
  time: readonly number[]
  equity: readonly number[]
  drawdown: readonly number[]
  buy_and_hold: readonly number[]
}

export interface ChartTrade {
  entry: number
  exit: number
  text: string
  won: boolean
}

export interface RunChartData {
  candles: readonly ChartCandle[]
  curve: Curve
}

/** What the curves are worth at one candle; null before they begin. `drawdown` is 0 or below. */
export interface CurveAt {
  equity: number | null
  hold: number | null
  drawdown: number | null
}

export interface Reading extends CurveAt {
  at: number
  candle: ChartCandle | null
}

/** More arrows than that on screen hide the candles: then they are counted instead. */
const MAX_MARKS = 240
/** A gain is written where the one before leaves that much room. */
const TEXT_PX = 54
const AROUND = 40
const seconds = (ms: number): UTCTimestamp => Math.floor(ms / 1000) as UTCTimestamp

/** The index of the last element of a sorted list that is at or before `at`; -1 when all are later. */
export function lastAt(length: number, timeOf: (index: number) => number, at: number): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (timeOf(middle) <= at) low = middle + 1
    else high = middle
  }
  return low - 1
}

/**
 * Brings the curves to the candles' times, so that three panes share one scale without gaps.
 *
 * Of the points of one candle the last value is kept, and the deepest drawdown.
 */
export function alongCandles(candles: readonly ChartCandle[], curve: Curve): CurveAt[] {
  let point = 0
  let known: CurveAt = { equity: null, hold: null, drawdown: null }
  return candles.map((_, index) => {
    const end = candles[index + 1]?.[0] ?? Infinity
    let deepest: number | null = null
    for (; point < curve.time.length && curve.time[point] < end; point += 1) {
      deepest = Math.max(deepest ?? 0, curve.drawdown[point])
      known = { equity: curve.equity[point], hold: curve.buy_and_hold[point], drawdown: -curve.drawdown[point] }
    }
    return deepest === null ? known : { ...known, drawdown: -deepest }
  })
}

/** The items, in order, that stand at least `room` pixels after the one kept before; those without a place are left out. */
export function spacedOut<T>(items: readonly T[], placeOf: (item: T) => number | null, room: number): Set<T> {
  const kept = new Set<T>()
  let last = -Infinity
  for (const item of items) {
    const place = placeOf(item)
    if (place === null || place - last < room) continue
    kept.add(item)
    last = place
  }
  return kept
}

export class RunChart {
  private readonly chart: IChartApi
  private readonly candles: ISeriesApi<'Candlestick'>
  private readonly equity: ISeriesApi<'Area'>
  private readonly hold: ISeriesApi<'Line'>
  private readonly drawdown: ISeriesApi<'Baseline'>
  private readonly markers: ISeriesMarkersPluginApi<Time>
  private bars: readonly ChartCandle[] = []
  private curves: CurveAt[] = []
  private trades: readonly ChartTrade[] = []
  private theme: ThemeName = 'dark'
  private zone: Zone = 'utc'
  private digits = 2
  private frame = 0
  private drawn = ''
  /** Called with what is under the pointer, or null when it leaves. */
  onHover: (reading: Reading | null) => void = () => undefined
  /** Called with the number of trades in view, and how many of them bear an arrow. */
  onMarks: (inView: number, shown: number) => void = () => undefined

  constructor(host: HTMLElement) {
    const money = (value: number): string => formatNumber(value.toFixed(Math.abs(value) < 1000 ? 2 : 0))
    this.chart = createChart(host, {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11, fontFamily: 'inherit', panes: { enableResize: true } },
      rightPriceScale: { borderVisible: false, minimumWidth: 74 },
      timeScale: { borderVisible: false, timeVisible: true, minBarSpacing: 0.01, tickMarkFormatter: (time: UTCTimestamp, kind: TickMarkType) => this.tick(time, kind) },
      localization: { timeFormatter: (time: UTCTimestamp) => formatStamp(time * 1000, this.zone) },
      crosshair: { mode: 0 },
    })
    const quiet = { priceLineVisible: false, lastValueVisible: false } as const
    this.candles = this.chart.addSeries(CandlestickSeries, { ...quiet, priceFormat: { type: 'custom', minMove: 1e-8, formatter: (price: number) => formatNumber(price.toFixed(this.digits)) } }, 0)
    this.equity = this.chart.addSeries(AreaSeries, { ...quiet, lineWidth: 2, crosshairMarkerVisible: false, priceFormat: { type: 'custom', minMove: 0.01, formatter: money } }, 1)
    this.hold = this.chart.addSeries(LineSeries, { ...quiet, lineWidth: 1, crosshairMarkerVisible: false, priceFormat: { type: 'custom', minMove: 0.01, formatter: money } }, 1)
    this.drawdown = this.chart.addSeries(BaselineSeries, {
      ...quiet, lineWidth: 1, baseValue: { type: 'price', price: 0 }, crosshairMarkerVisible: false,
      priceFormat: { type: 'custom', minMove: 0.0001, formatter: (ratio: number) => formatRatio(ratio.toFixed(4), 1) },
    }, 2)
    this.chart.panes().forEach((pane, index) => pane.setStretchFactor([2.1, 1.1, 0.6][index] ?? 1))
    this.drawdown.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.05 } })
    this.equity.priceScale().applyOptions({ scaleMargins: { top: 0.22, bottom: 0.06 } })
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.14, bottom: 0.1 } })
    this.markers = createSeriesMarkers(this.candles, [])
    this.chart.subscribeCrosshairMove(({ time }) => this.onHover(time === undefined ? null : this.read((time as number) * 1000)))
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.mark())
  }

  remove(): void {
    cancelAnimationFrame(this.frame)
    this.chart.remove()
  }

  dress(theme: ThemeName, zone: Zone, digits: number): void {
    Object.assign(this, { theme, zone, digits })
    const tokens = themes[theme]
    const cross = { color: tokens['c-cross'], labelBackgroundColor: tokens['c-cross'] }
    this.chart.applyOptions({
      layout: { background: { color: tokens['chart-bg'] }, textColor: tokens['c-axis'], panes: { separatorColor: tokens['line'], separatorHoverColor: tokens['hover'] } },
      grid: { vertLines: { color: tokens['c-grid'] }, horzLines: { color: tokens['c-grid'] } },
      crosshair: { vertLine: cross, horzLine: cross },
    })
    const [up, down] = [tokens['c-up'], tokens['c-down']]
    this.candles.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down })
    this.equity.applyOptions({ lineColor: tokens['c-line'], topColor: tokens['c-area'], bottomColor: 'transparent' })
    this.hold.applyOptions({ color: tokens['c-ref'] })
    this.drawdown.applyOptions({
      topLineColor: tokens['c-dd'], topFillColor1: 'transparent', topFillColor2: 'transparent',
      bottomLineColor: tokens['c-dd'], bottomFillColor1: tokens['c-dd-area'], bottomFillColor2: tokens['c-dd-area'],
    })
    this.drawn = ''
    this.mark()
  }

  setData({ candles, curve }: RunChartData, trades: readonly ChartTrade[]): void {
    this.bars = candles
    this.curves = alongCandles(candles, curve)
    this.trades = trades
    this.drawn = ''
    const line = (name: keyof CurveAt) =>
      this.curves.flatMap((one, index) => {
        const value = one[name]
        return value === null ? [] : [{ time: seconds(candles[index]?.[0] ?? 0), value }]
      })
    this.candles.setData(candles.map(([at, open, high, low, close]) => ({ time: seconds(at), open, high, low, close })))
    this.equity.setData(line('equity'))
    this.hold.setData(line('hold'))
    this.drawdown.setData(line('drawdown'))
    this.showAll()
  }

  showAll(): void {
    this.chart.timeScale().fitContent()
    this.mark()
  }

  /** Brings a trade to the middle, with some candles before and after. */
  centre(trade: Pick<ChartTrade, 'entry' | 'exit'>): void {
    const [first, last] = [this.indexOf(trade.entry), this.indexOf(trade.exit)]
    const margin = Math.max(AROUND, last - first)
    this.chart.timeScale().setVisibleLogicalRange({ from: first - margin, to: last + margin })
  }

  private indexOf(at: number): number {
    return Math.max(0, lastAt(this.bars.length, (index) => this.bars[index]?.[0] ?? 0, at))
  }

  private read(at: number): Reading {
    const index = this.indexOf(at)
    return { at, candle: this.bars[index] ?? null, ...(this.curves[index] ?? { equity: null, hold: null, drawdown: null }) }
  }

  /** Draws the arrows of what is in view, at most once a frame: thousands of them would stop the scrolling. */
  private mark(): void {
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.drawMarks(this.chart.timeScale().getVisibleLogicalRange()))
  }

  private drawMarks(range: LogicalRange | null): void {
    const candles = this.bars
    if (!range || !candles.length) return
    const at = (logical: number): number => candles[Math.min(candles.length - 1, Math.max(0, Math.round(logical)))]?.[0] ?? 0
    const [from, to] = [at(range.from), at(range.to)]
    const seen = this.trades.filter((trade) => trade.exit >= from && trade.entry <= to)
    const shown = seen.length > MAX_MARKS ? [] : seen
    this.onMarks(seen.length, shown.length)
    // Zooming makes room for more texts among the same arrows.
    const key = `${shown[0]?.entry}:${shown.at(-1)?.exit}:${shown.length}:${Math.round(range.to - range.from)}`
    if (key === this.drawn) return
    this.drawn = key
    this.markers.setMarkers(this.arrows(shown))
  }

  private arrows(trades: readonly ChartTrade[]): SeriesMarker<Time>[] {
    const tokens = themes[this.theme]
    const time = (ms: number) => seconds(this.bars[this.indexOf(ms)]?.[0] ?? ms)
    const written = spacedOut(trades, (trade) => this.chart.timeScale().timeToCoordinate(time(trade.exit)), TEXT_PX)
    return trades
      .flatMap((trade): SeriesMarker<Time>[] => [
        { time: time(trade.entry), position: 'belowBar', shape: 'arrowUp', color: tokens['c-line'] },
        { time: time(trade.exit), position: 'aboveBar', shape: 'arrowDown', color: tokens['c-ind-1'] },
        // An arrow and its text share one colour in this library: the gain is a second mark without a shape.
        ...(!written.has(trade) ? [] : [{ time: time(trade.exit), position: 'aboveBar', shape: 'circle', size: 0, color: tokens[trade.won ? 'success-text' : 'danger-text'], text: trade.text } as const]),
      ])
      .sort((a, b) => Number(a.time) - Number(b.time))
  }

  private tick(time: UTCTimestamp, kind: TickMarkType): string {
    return kind === TickMarkType.Time || kind === TickMarkType.TimeWithSeconds ? formatClock(time * 1000, this.zone) : formatDay(time * 1000, this.zone)
  }
}
