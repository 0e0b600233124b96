/** The drawing of the trading chart: candles, volumes, lines of orders, marks of executions. No Vue here. */
import {
  CandlestickSeries, createChart, createSeriesMarkers, HistogramSeries, LineStyle, TickMarkType,
  type AutoscaleInfo, type IChartApi, type IPriceLine, type ISeriesApi, type ISeriesMarkersPluginApi, type SeriesMarker, type Time, type UTCTimestamp,
} from 'lightweight-charts'
import type { Bar } from '@/api/trading'
import { themes, type ThemeName } from '@/design-system/tokens'
import { formatNumber } from '@/utils/format'
import { formatClock, formatDay, formatStamp, type Zone } from '@/utils/time'

export interface OrderLine {
  id: number
  price: number
  text: string
  tone: 'buy' | 'sell' | 'gain' | 'loss' | 'draft'
  draggable: boolean
  /** Why it cannot be dragged, for who tries. */
  locked?: string
}

export interface FillMark {
  at: number
  side: 'buy' | 'sell'
  text: string
}

const MOST_WORDS = 24
const NEAR_PX = 7
const BAR_PX = 8
const seconds = (ms: number): UTCTimestamp => Math.floor(ms / 1000) as UTCTimestamp

/** One arrow per candle and side, however often it was traded: « × 3 » instead of three on top of one another. */
export function arrowsOf(marks: FillMark[], bars: Bar[]): FillMark[] {
  const arrows = new Map<string, FillMark & { count: number }>()
  for (const { at, side, text } of marks) {
    const bar = bars.findLast(([start]) => start <= at)?.[0]
    if (bar === undefined) continue // older than the first candle
    const before = arrows.get(`${bar} ${side}`)
    const count = (before?.count ?? 0) + 1
    arrows.set(`${bar} ${side}`, { at: bar, side, count, text: count > 1 ? `× ${count}` : text })
  }
  // More words than that cover each other and the candles; the orders' table has them all.
  const isDense = arrows.size > MOST_WORDS
  return [...arrows.values()].sort((a, b) => a.at - b.at).map(({ at, side, text }) => ({ at, side, text: isDense ? '' : text }))
}

export class CandleChart {
  private readonly chart: IChartApi
  private readonly candles: ISeriesApi<'Candlestick'>
  private readonly volumes: ISeriesApi<'Histogram'>
  private readonly markers: ISeriesMarkersPluginApi<Time>
  private drawn = new Map<number, { line: IPriceLine; spec: OrderLine }>()
  private bars: Bar[] = []
  private drawnAt = 0
  private theme: ThemeName = 'dark'
  private zone: Zone = 'utc'
  private digits = 2
  /** Called with the bar under the pointer, or null when it leaves. */
  onHover: (bar: Bar | null) => void = () => undefined
  /** Called when the left edge comes near: older candles are wanted. */
  onLeftEdge: () => void = () => undefined

  constructor(private readonly host: HTMLElement) {
    this.chart = createChart(host, {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11, fontFamily: 'inherit' },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.24 } },
      timeScale: { borderVisible: false, rightOffset: 6, timeVisible: true, tickMarkFormatter: (time: UTCTimestamp, kind: TickMarkType) => this.tick(time, kind) },
      localization: { timeFormatter: (time: UTCTimestamp) => formatStamp(time * 1000, this.zone), priceFormatter: (price: number) => formatNumber(price.toFixed(this.digits)) },
    })
    this.candles = this.chart.addSeries(CandlestickSeries, { autoscaleInfoProvider: (original: () => AutoscaleInfo | null) => this.withLines(original()) })
    this.volumes = this.chart.addSeries(HistogramSeries, { priceScaleId: 'volume', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false })
    this.chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
    this.markers = createSeriesMarkers(this.candles, [])
    this.chart.subscribeCrosshairMove(({ time }) => this.onHover(time === undefined ? null : (this.bars.find(([at]) => seconds(at) === time) ?? null)))
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < 20 && this.bars.length) this.onLeftEdge()
    })
  }

  remove(): void {
    this.chart.remove()
  }

  /** Wears a theme, a zone and the market's number of decimals. */
  dress(theme: ThemeName, zone: Zone, digits: number): void {
    Object.assign(this, { theme, zone, digits })
    const tokens = themes[theme]
    const line = { color: tokens['c-cross'], labelBackgroundColor: tokens['c-cross'] }
    this.chart.applyOptions({
      layout: { background: { color: tokens['chart-bg'] }, textColor: tokens['c-axis'] },
      grid: { vertLines: { color: tokens['c-grid'] }, horzLines: { color: tokens['c-grid'] } },
      crosshair: { mode: 0, vertLine: line, horzLine: line },
    })
    const [up, down] = [tokens['c-up'], tokens['c-down']]
    this.candles.applyOptions({
      upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down,
      priceFormat: { type: 'price', precision: digits, minMove: 1 / 10 ** digits },
    })
    this.volumes.setData(this.bars.map((bar) => this.volume(bar)))
    const specs = [...this.drawn.values()].map(({ spec }) => spec)
    this.clearLines()
    this.setLines(specs)
  }

  /** Replaces the candles. The view stays where it was when they only grew to the left. */
  setBars(bars: Bar[]): void {
    const grown = this.bars.length > 0 && bars.at(-1)?.[0] === this.bars.at(-1)?.[0]
    const added = bars.length - this.bars.length
    const range = this.chart.timeScale().getVisibleLogicalRange()
    this.bars = bars
    this.drawnAt = bars.at(-1)?.[0] ?? 0
    this.candles.setData(bars.map(([at, open, high, low, close]) => ({ time: seconds(at), open, high, low, close })))
    this.volumes.setData(bars.map((bar) => this.volume(bar)))
    if (grown && range) this.chart.timeScale().setVisibleLogicalRange({ from: range.from + added, to: range.to + added })
    else this.chart.timeScale().setVisibleLogicalRange({ from: bars.length - Math.max(60, Math.round(this.host.clientWidth / BAR_PX)), to: bars.length + 6 })
  }

  /** Draws again the last candle that was drawn, and those after it: they moved in the array given to `setBars`. */
  update(): void {
    // The library refuses a candle older than its last one.
    for (const bar of this.bars.slice(this.bars.findLastIndex(([at]) => at <= this.drawnAt))) {
      const [at, open, high, low, close] = bar
      this.candles.update({ time: seconds(at), open, high, low, close })
      this.volumes.update(this.volume(bar))
      this.drawnAt = at
    }
  }

  /** Draws exactly these lines; one that is there already is moved, not drawn again. */
  setLines(lines: OrderLine[]): void {
    const wanted = new Set(lines.map((line) => line.id))
    for (const [id, { line }] of this.drawn) {
      if (wanted.has(id)) continue
      this.candles.removePriceLine(line)
      this.drawn.delete(id)
    }
    for (const spec of lines) {
      const known = this.drawn.get(spec.id)
      const options = { price: spec.price, title: spec.text, ...this.look(spec) }
      if (known) known.line.applyOptions(options)
      this.drawn.set(spec.id, { line: known?.line ?? this.candles.createPriceLine(options), spec })
    }
  }

  setMarks(marks: FillMark[]): void {
    const tokens = themes[this.theme]
    this.markers.setMarkers(
      arrowsOf(marks, this.bars).map(({ at, side, text }): SeriesMarker<Time> => ({
        time: seconds(at),
        position: side === 'buy' ? 'belowBar' : 'aboveBar',
        shape: side === 'buy' ? 'arrowUp' : 'arrowDown',
        color: side === 'buy' ? tokens['c-line'] : tokens['c-ind-1'],
        text,
      })),
    )
  }

  /** The line under that height that answers the pointer: to be dragged, or to say why it stays where it is. */
  lineAt(y: number): OrderLine | null {
    for (const { spec } of this.drawn.values()) {
      const at = spec.draggable || spec.locked ? this.candles.priceToCoordinate(spec.price) : null
      if (at !== null && Math.abs(at - y) <= NEAR_PX) return spec
    }
    return null
  }

  priceAt(y: number): number | null {
    return this.candles.coordinateToPrice(y)
  }

  /** Shows a line elsewhere while it is dragged. */
  moveLine(id: number, price: number): void {
    this.drawn.get(id)?.line.applyOptions({ price })
  }

  /** Gives the pointer to a drag, or back to the chart. */
  hold(held: boolean): void {
    this.chart.applyOptions({ handleScroll: !held, handleScale: !held })
  }

  /** Widens the scale to the lines that lie within one height of the candles; farther ones would flatten them. */
  private withLines(info: AutoscaleInfo | null): AutoscaleInfo | null {
    if (!info?.priceRange) return info
    const { minValue, maxValue } = info.priceRange
    const reach = maxValue - minValue
    const near = [...this.drawn.values()].map(({ spec }) => spec.price).filter((price) => price > minValue - reach && price < maxValue + reach)
    return { ...info, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } }
  }

  private clearLines(): void {
    this.drawn.forEach(({ line }) => this.candles.removePriceLine(line))
    this.drawn.clear()
  }

  private look({ tone }: OrderLine) {
    const tokens = themes[this.theme]
    const colors = { buy: tokens['c-ind-3'], sell: tokens['c-ind-1'], gain: tokens['c-up'], loss: tokens['c-down'], draft: tokens['c-line'] }
    return {
      color: colors[tone], axisLabelColor: colors[tone], axisLabelTextColor: this.theme === 'dark' ? tokens['chart-bg'] : tokens['on-primary'],
      lineWidth: 1 as const, lineStyle: tone === 'draft' ? LineStyle.Dotted : LineStyle.Dashed, axisLabelVisible: true,
    }
  }

  private volume([at, open, , , close, volume]: Bar) {
    const tokens = themes[this.theme]
    return { time: seconds(at), value: volume, color: close >= open ? tokens['c-up-vol'] : tokens['c-down-vol'] }
  }

  private tick(time: UTCTimestamp, kind: TickMarkType): string {
    return kind === TickMarkType.Time || kind === TickMarkType.TimeWithSeconds ? formatClock(time * 1000, this.zone) : formatDay(time * 1000, this.zone)
  }
}
