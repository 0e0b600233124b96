import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it } from 'vitest'
import { nextTick, ref } from 'vue'
import type { NewRun } from '@/api/backtests'
import type { ParamSpec } from '@/api/strategies'
import type { RunForm } from './useRunForm'
import { useSweepForm } from './useSweepForm'

const spec = (name: string, min: number, max: number, value: number): ParamSpec => ({ name, type: 'int', default: value, label: name, min, max, step: 1, choices: [] })
const form = () => ({ specs: ref([spec('fast', 2, 50, 10), spec('slow', 5, 200, 20)]), draft: ref({ strategy: 1, params: {} } as NewRun) }) as unknown as RunForm

beforeEach(() => setActivePinia(createPinia()))

it('searches all that the strategy declares when it is guided, with a number of trials', async () => {
  const sweep = useSweepForm(form())
  expect(sweep.combinations.value).toBeLessThan(500)
  sweep.sampler.value = 'optuna'
  await nextTick()
  expect(sweep.combinations.value).toBe(49 * 196) // 2…50 and 5…200
  expect(sweep.trials.value).toBe(100)
  expect(sweep.draft.value).toMatchObject({ sampler: 'optuna', runs: 100, params: {} })
  sweep.runs.value = '501'
  expect(sweep.draft.value).toBeNull()
  sweep.sampler.value = 'grid'
  await nextTick()
  expect(sweep.combinations.value).toBeLessThan(500)
})

it('keeps bounds that were typed when the way of searching changes', async () => {
  const sweep = useSweepForm(form())
  sweep.axes.value['fast'].max = '30'
  sweep.sampler.value = 'optuna'
  await nextTick()
  expect([sweep.axes.value['fast'].max, sweep.axes.value['slow'].max]).toEqual(['30', '200'])
})
