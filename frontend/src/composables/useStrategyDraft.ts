import { computed, reactive, ref, shallowRef, watch } from 'vue'
import { validateCode, type CodeError, type ParamSpec, type Strategy, type StrategyDraft, type Validation } from '@/api/strategies'
import { ApiError } from '@/api/errors'
import { useStrategies } from '@/stores/strategies'
import { useAction } from './useAsync'

/** The specification's template (section 4.5), with the units of what is returned. */
export const TEMPLATE = `# Template de base pour une nouvelle stratégie
import pandas_ta as ta

class MaNouvelleStrategie(Strategy):
    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position

    def should_long(self) -> bool:
        # Décide si on doit acheter
        return False

    def should_short(self) -> bool:
        # Au comptant : décide si on doit vendre la position
        return False

    def calculate_position_size(self) -> float:
        # Calcule la taille de la position : le montant à dépenser, par exemple self.balance * 0.1
        return 0.0

    def calculate_stop_loss(self) -> float:
        # Calcule le stop loss : 0.02 = 2 % sous le dernier cours à la décision, 0.0 = aucun
        return 0.0

    def calculate_take_profit(self) -> float:
        # Calcule le take profit : 0.04 = 4 % au-dessus de ce cours, 0.0 = aucun
        return 0.0
`

const FIELDS = ['name', 'description', 'timeframe', 'code'] as const
type Fields = Pick<StrategyDraft, (typeof FIELDS)[number]>

const blank = (): Fields => ({ name: '', description: '', timeframe: '15m', code: TEMPLATE })

/** The strategy on the workbench: its text as typed, what differs from what is saved, and what the server says of it. */
export function useStrategyDraft() {
  const strategies = useStrategies()
  const id = ref<number | null>(null)
  const saved = shallowRef<Fields>(blank())
  const draft = reactive<Fields>(blank())
  const verdict = shallowRef<Validation | null>(null)
  const errors = shallowRef<readonly CodeError[]>([])
  /** What the text lets its user tune, as the server last read it. */
  const params = shallowRef<readonly ParamSpec[]>([])

  const current = computed<Strategy | null>(() => strategies.list.find((one) => one.id === id.value) ?? null)
  const changed = computed(() => FIELDS.some((name) => draft[name] !== saved.value[name]))
  const savable = computed(() => draft.name.trim() !== '' && (changed.value || id.value === null))
  const document = ref('new')
  let opened = 0

  function open(source: Strategy | (Partial<Fields> & { id?: undefined; params?: readonly ParamSpec[] })): void {
    const fields = { ...blank(), ...Object.fromEntries(FIELDS.filter((name) => source[name] !== undefined).map((name) => [name, source[name]])) } as Fields
    id.value = source.id ?? null
    saved.value = { ...fields }
    Object.assign(draft, fields)
    verdict.value = null
    errors.value = []
    params.value = source.params ?? []
    document.value = `${id.value ?? 'new'}:${(opened += 1)}`
  }

  function listed(error: unknown): readonly CodeError[] {
    const found = error instanceof ApiError ? error.details['errors'] : null
    if (Array.isArray(found)) return found as CodeError[]
    const line = error instanceof ApiError ? error.details['line'] : null
    return typeof line === 'number' ? [{ line, column: null, message: (error as ApiError).message }] : []
  }

  const saving = useAction(async () => {
    const sent = { ...draft, name: draft.name.trim() }
    try {
      const strategy = id.value === null ? await strategies.create(sent) : await strategies.change(id.value, sent)
      id.value = strategy.id
      // What was typed while the answer was on its way stays, and stays unsaved.
      saved.value = sent
      if (draft.name.trim() === sent.name) draft.name = sent.name
      if (draft.code === sent.code) params.value = strategy.params
      return strategy
    } catch (error) {
      errors.value = listed(error)
      throw error
    }
  })

  const checking = useAction(async () => {
    const code = draft.code
    const answer = await validateCode(code)
    if (code !== draft.code) return answer
    verdict.value = answer
    errors.value = answer.errors
    params.value = answer.params
    return answer
  })

  // A verdict is about the text it was given, no other.
  watch(() => draft.code, () => {
    verdict.value = null
  })

  return { id, draft, document, current, changed, savable, verdict, errors, params, open, saving, checking, listed }
}
