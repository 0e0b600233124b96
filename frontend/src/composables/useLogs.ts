import { computed, onScopeDispose, reactive, ref, shallowRef, watch } from 'vue'
import { fetchLogs, type LogFilter, type LogLine } from '@/api/logs'
import { useAction, useLoad } from '@/composables/useAsync'
import { isWanted, pushed } from '@/utils/logs'
import { live } from '@/websocket/live'

/** The terminals' lines that the filter lets through: those written already, and each new one as it comes. */
export function useLogs(first: Partial<LogFilter> = {}) {
  // A trace is followed whole: what did nothing belongs to it too.
  const filter = reactive<LogFilter>({ terminal: '', level: 'info', matters: !first.trace, text: '', trace: '', ...first })
  const lines = shallowRef<LogLine[]>([])
  const next = ref<string | null>(null)
  const following = ref(true)
  const waiting = ref(0)
  let held: LogLine[] = []
  let asked = 0
  let meanwhile: LogLine[] = [] // came after the question and perhaps before its answer was written

  async function refresh(): Promise<void> {
    const mine = ++asked
    meanwhile = []
    const page = await fetchLogs(filter)
    if (mine !== asked) return // another filter was chosen meanwhile
    lines.value = pushed(page.results, meanwhile)
    next.value = page.next
    held = []
    waiting.value = 0
  }
  const load = useLoad(refresh, () => lines.value.length === 0)
  const choose = useAction(refresh)
  const more = useAction(async () => {
    const page = await fetchLogs(filter, next.value)
    lines.value = [...lines.value, ...page.results]
    next.value = page.next
  })

  function receive(batch: LogLine[]): void {
    const wanted = batch.filter((line) => isWanted(line, filter))
    if (!wanted.length) return
    meanwhile = [...meanwhile, ...wanted].slice(-500)
    if (following.value) {
      lines.value = pushed(lines.value, wanted)
      return
    }
    held = [...held, ...wanted].slice(-500)
    waiting.value += wanted.length
  }
  watch(following, (now) => {
    if (!now) return
    lines.value = pushed(lines.value, held)
    held = []
    waiting.value = 0
  })

  let typing: ReturnType<typeof setTimeout> | undefined
  // `useAction` lets one question pass at a time: the last filter must not be the one that is dropped.
  const ask = async (): Promise<void> => {
    await choose.run()
    if (choose.pending.value) typing = setTimeout(() => void ask(), 100)
  }
  watch(filter, () => {
    clearTimeout(typing)
    typing = setTimeout(() => void ask(), 250)
  })

  const stops = [live.on('logs/lines', (batch) => receive(batch.lines)), live.onReconnect(() => void choose.run())]
  onScopeDispose(() => {
    clearTimeout(typing)
    stops.forEach((stop) => stop())
  })
  const filtered = computed(() => Boolean(filter.terminal || filter.text || filter.trace || filter.matters || filter.level !== 'info'))
  return { filter, filtered, lines, next, following, waiting, load, choose, more }
}
