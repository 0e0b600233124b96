import { computed, ref, watch } from 'vue'
import { ApiError } from '@/api/errors'
import type { NewSweep, Objective, Sampler } from '@/api/backtests'
import type { ParamSpec } from '@/api/strategies'
import { typedValue } from '@/components/strategies/params'
import { useSweeps } from '@/stores/sweeps'
import { useAction } from './useAsync'
import type { RunForm } from './useRunForm'

export const MAX_COMBINATIONS = 500
const PROPOSED = 8

/** What is typed about one parameter that may vary. */
export interface Axis {
  vary: boolean
  min: string
  max: string
  step: string
}

const shown = (value: number): string => String(Number(value.toPrecision(12))).replace('.', ',')

/** All that the strategy declares, for a search that needs no small space. */
function declared(spec: ParamSpec): Axis | null {
  if (spec.min === null || spec.max === null) return null
  const step = spec.step ?? (spec.type === 'int' ? 1 : (spec.max - spec.min) / 100)
  if (!(step > 0) || (spec.max - spec.min) / step >= MAX_COMBINATIONS) return null
  return { vary: false, min: shown(spec.min), max: shown(spec.max), step: shown(step) }
}

/** What is proposed for a parameter: of a grid, bounds around the default that give a handful of values. */
function proposal(spec: ParamSpec, sampler: Sampler): Axis {
  return (sampler === 'optuna' ? declared(spec) : null) ?? handful(spec)
}

function handful(spec: ParamSpec): Axis {
  if (spec.type !== 'int' && spec.type !== 'float') return { vary: false, min: '', max: '', step: '' }
  const base = Number(spec.default)
  const grain = spec.step ?? (spec.type === 'int' ? 1 : Math.abs(base) / 10 || 0.1)
  const low = Math.max(spec.min ?? base - grain * PROPOSED, base - Math.abs(base) / 2)
  const high = Math.min(spec.max ?? base + grain * PROPOSED, base + Math.abs(base) / 2 + grain)
  const step = Math.max(1, Math.round((high - low) / grain / PROPOSED)) * grain
  const first = (spec.min ?? 0) + Math.round((low - (spec.min ?? 0)) / grain) * grain
  return { vary: false, min: shown(first), max: shown(Math.max(first, high)), step: shown(step) }
}

/** The values an axis gives, or the French sentence that says why it gives none. */
export function axisValues(spec: ParamSpec, axis: Axis): (number | string | boolean)[] | string {
  if (spec.type === 'bool') return [true, false]
  if (spec.type === 'choice') return spec.choices
  const [low, high, step] = [axis.min, axis.max, axis.step].map((text) => typedValue(spec, text))
  if (typeof low !== 'number' || typeof high !== 'number' || typeof step !== 'number') return spec.type === 'int' ? 'Trois nombres entiers sont attendus' : 'Trois nombres sont attendus'
  if (step <= 0) return 'Le pas doit être positif'
  if (high < low) return 'Le maximum est sous le minimum'
  if (spec.min !== null && low < spec.min) return `Au moins ${shown(spec.min)}`
  if (spec.max !== null && high > spec.max) return `Au plus ${shown(spec.max)}`
  const count = Math.floor((high - low) / step + 1e-9) + 1
  if (count > MAX_COMBINATIONS) return `${count} valeurs, ${MAX_COMBINATIONS} au plus`
  return Array.from({ length: count }, (_, index) => Number((low + index * step).toPrecision(12)))
}

/** The part of the form that makes one run many: which parameters vary, how far, and what ranks them. */
export function useSweepForm(form: RunForm) {
  const sweeps = useSweeps()
  const axes = ref<Record<string, Axis>>({})
  const sampler = ref<Sampler>('grid')
  const runs = ref('100')
  const objective = ref<Objective>('sharpe')
  const split = ref(70)
  const windows = ref(1)

  watch(form.specs, (specs) => {
    axes.value = Object.fromEntries(specs.map((spec) => [spec.name, axes.value[spec.name] ?? proposal(spec, sampler.value)]))
    const numeric = specs.filter((spec) => spec.type === 'int' || spec.type === 'float')
    if (!Object.values(axes.value).some((axis) => axis.vary)) numeric.slice(0, 2).forEach((spec) => (axes.value[spec.name].vary = true))
  }, { immediate: true })

  // Bounds that nobody changed follow the way of searching.
  watch(sampler, (next, before) => {
    for (const spec of form.specs.value) {
      const [typed, proposed] = [axes.value[spec.name], proposal(spec, before)]
      const untouched = (['min', 'max', 'step'] as const).every((bound) => typed[bound] === proposed[bound])
      if (untouched) axes.value[spec.name] = { ...proposal(spec, next), vary: typed.vary }
    }
  })

  const varied = computed(() => form.specs.value.filter((spec) => axes.value[spec.name]?.vary))
  const values = computed(() => Object.fromEntries(varied.value.map((spec) => [spec.name, axisValues(spec, axes.value[spec.name])])))
  const errors = computed<Record<string, string>>(() => Object.fromEntries(Object.entries(values.value).flatMap(([name, found]) => (typeof found === 'string' ? [[name, found]] : []))))
  const sizes = computed(() => Object.values(values.value).map((found) => (typeof found === 'string' ? 0 : found.length)))
  const combinations = computed(() => sizes.value.reduce((product, size) => product * size, sizes.value.length ? 1 : 0))
  const guided = computed(() => sampler.value === 'optuna')
  const budget = computed(() => (/^\d+$/.test(runs.value.trim()) ? Number(runs.value) : 0))
  const runsError = computed(() => (guided.value && (budget.value < 2 || budget.value > MAX_COMBINATIONS) ? `De 2 à ${MAX_COMBINATIONS} essais` : null))
  /** How many combinations will be played in each window. */
  const trials = computed(() => (guided.value ? Math.min(budget.value, combinations.value) : combinations.value))
  const problem = computed(() => {
    if (!form.specs.value.length) return 'Cette stratégie ne déclare aucun réglage : ajoutez STRATEGY_PARAMS à son code.'
    if (!varied.value.length) return 'Choisissez au moins un réglage à faire varier.'
    if (Object.keys(errors.value).length) return null
    if (guided.value) return runsError.value
    if (combinations.value > MAX_COMBINATIONS) return `${sizes.value.join(' × ')} = ${combinations.value} combinaisons, ${MAX_COMBINATIONS} au plus : élargissez un pas, ou choisissez la recherche guidée.`
    return null
  })

  const draft = computed<NewSweep | null>(() => {
    if (!form.draft.value || problem.value || Object.keys(errors.value).length) return null
    const space = Object.fromEntries(Object.entries(values.value).map(([name, found]) => [name, found as (number | string | boolean)[]]))
    const fixed = Object.fromEntries(Object.entries(form.draft.value.params ?? {}).filter(([name]) => !(name in space)))
    return {
      ...form.draft.value, params: fixed, space, sampler: sampler.value, runs: guided.value ? budget.value : MAX_COMBINATIONS, objective: objective.value, split_ratio: split.value / 100, windows: windows.value,
    }
  })

  const submit = useAction(async () => (draft.value ? sweeps.launch(draft.value) : undefined))
  const refusal = computed(() => (submit.error.value instanceof ApiError ? submit.error.value : null))
  return { axes, sampler, runs, runsError, guided, trials, objective, split, windows, varied, errors, sizes, combinations, problem, draft, submit, refusal }
}

export type SweepForm = ReturnType<typeof useSweepForm>
