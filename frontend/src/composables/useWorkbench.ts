import { computed, ref, shallowRef, watch } from 'vue'
import type { ParamValue } from '@/components/strategies/params'
import type { Timeframe } from '@/api/core'
import { fetchIndicators, type Indicator, type Strategy, type StrategyExample } from '@/api/strategies'
import { useBots } from '@/stores/bots'
import { useStrategies } from '@/stores/strategies'
import { useToasts } from '@/stores/toasts'
import { plural } from '@/utils/format'
import { nameOfFile, readPython, savePython } from '@/utils/pythonFile'
import { useAction } from './useAsync'
import { useStrategyDraft } from './useStrategyDraft'

export type Tab = 'code' | 'versions' | 'about' | 'proposal'

export interface Editor {
  goTo: (line: number) => void
  insert: (text: string) => void
}

/** A proposed text that is being compared with the one on the workbench. */
export interface Review {
  code: string
  apply: (code: string) => void
  refuse: () => void
}

interface Listeners {
  saved?: (strategy: Strategy) => void
  removed?: (id: number) => void
}

/** All that one does with the strategy on the workbench, on its page or in a drawer: open, save, test, copy, remove. */
export function useWorkbench(listeners: Listeners = {}) {
  const strategies = useStrategies()
  const bots = useBots()
  const toasts = useToasts()
  const bench = useStrategyDraft()
  const { id, draft, errors, verdict, current, changed } = bench

  const indicators = shallowRef<Indicator[]>([])
  const tab = ref<Tab>('code')
  const editor = shallowRef<Editor | null>(null)
  const removing = ref(false)
  /** Values of the settings to try, where they differ from the defaults. */
  const chosen = shallowRef<Record<string, ParamValue>>({})
  watch(bench.document, () => (chosen.value = {}))
  watch(id, (shown) => strategies.touch(shown))
  const reviewed = shallowRef<Review | null>(null)
  function openReview(review: Review): void {
    reviewed.value = review
    tab.value = 'proposal'
  }
  function closeReview(): void {
    reviewed.value = null
    if (tab.value === 'proposal') tab.value = 'code'
  }
  watch(bench.document, closeReview)
  /** What waits for « abandonner les changements ? ». */
  const leaving = shallowRef<(() => void) | null>(null)

  async function load(): Promise<void> {
    const [, list] = await Promise.all([strategies.refresh(), fetchIndicators(), bots.loaded ? null : bots.refresh()])
    indicators.value = list
  }

  const usedBy = computed(() => bots.list.filter((bot) => bot.strategy === id.value && bot.is_active).length)
  const state = computed(() => {
    const first = errors.value[0]
    if (first) return { tone: 'down', text: `${plural(errors.value.length, 'erreur')}${first.line ? `, ligne ${first.line}` : ''}` }
    if (verdict.value?.valid) return { tone: 'up', text: `Valide : classe ${verdict.value.class_name}` }
    return { tone: '', text: 'Pas encore testée' }
  })
  /** What the server refused, unless it is said at its line. */
  const refusal = computed(() => (errors.value.length ? null : (bench.saving.message.value ?? bench.checking.message.value)))

  /** Does it at once when nothing would be lost, else asks first. */
  function guarded(action: () => void): void {
    if (changed.value) leaving.value = action
    else action()
  }
  function abandon(): void {
    const action = leaving.value
    leaving.value = null
    action?.()
  }
  function show(source: Parameters<typeof bench.open>[0]): void {
    bench.open(source)
    tab.value = 'code'
  }
  const fresh = (name: string): string => (strategies.list.some((one) => one.name === name) ? fresh(`${name.slice(0, 92)} (copie)`) : name)
  const openOne = (strategy: Strategy) => strategy.id !== id.value && guarded(() => show(strategy))
  const startNew = () => guarded(() => show({}))
  const startFrom = (example: StrategyExample) => guarded(() => show({ ...example, timeframe: example.timeframe as Timeframe, name: fresh(example.name) }))
  const duplicate = () => show({ ...draft, params: bench.params.value, id: undefined, name: fresh(draft.name) })

  async function importFile(file: File): Promise<void> {
    try {
      const code = await readPython(file)
      guarded(() => show({ name: fresh(nameOfFile(file)), code }))
    } catch (error) {
      toasts.push('bad', 'Fichier non importé', error instanceof Error ? error.message : String(error))
    }
  }
  const exportFile = () => savePython(draft.name, draft.code)

  async function save(): Promise<void> {
    if (!bench.savable.value) return
    const strategy = await bench.saving.run()
    if (!strategy) return showFirstError()
    const bound = usedBy.value ? ` : ${plural(usedBy.value, 'bot')} l’utiliseront à la prochaine clôture` : ''
    toasts.push('ok', 'Stratégie enregistrée', `${strategy.name}, version ${strategy.version ?? 1}${bound}`)
    listeners.saved?.(strategy)
  }
  async function check(): Promise<void> {
    await bench.checking.run()
    showFirstError()
  }
  function showFirstError(): void {
    const line = errors.value[0]?.line
    if (!line) return
    tab.value = 'code'
    editor.value?.goTo(line)
  }
  const removal = useAction(async () => {
    const gone = id.value
    if (gone === null) return
    await strategies.remove(gone)
    removing.value = false
    show(strategies.list[0] ?? {})
    listeners.removed?.(gone)
  })
  function restore(code: string, number: number): void {
    draft.code = code
    tab.value = 'code'
    toasts.push('info', `Texte de la version ${number} repris`, 'Il n’est pas encore enregistré.')
  }

  return {
    ...bench,
    current,
    indicators,
    tab,
    editor,
    useEditor: (shown: Editor | null) => (editor.value = shown),
    chosen,
    reviewed,
    openReview,
    closeReview,
    removing,
    leaving,
    usedBy,
    state,
    refusal,
    removal,
    load,
    guarded,
    abandon,
    show,
    openOne,
    startNew,
    startFrom,
    duplicate,
    importFile,
    exportFile,
    save,
    check,
    restore,
  }
}

export type Workbench = ReturnType<typeof useWorkbench>
