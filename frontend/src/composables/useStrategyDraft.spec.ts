import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { nextTick } from 'vue'
import * as http from '@/api/strategies'
import { ApiError } from '@/api/errors'
import { TEMPLATE, useStrategyDraft } from './useStrategyDraft'

vi.mock('@/api/strategies')

const strategy = { id: 7, name: 'EMA', description: '', code: 'x = 1', timeframe: '1h', params: [], version: 2, created_at: '', updated_at: '' } as unknown as http.Strategy

describe('the strategy on the workbench', () => {
  beforeEach(() => {
    setActivePinia(createPinia())
    vi.resetAllMocks()
  })

  it('starts from the template and needs a name before it can be saved', () => {
    const bench = useStrategyDraft()
    expect(bench.draft.code).toBe(TEMPLATE)
    expect(bench.savable.value).toBe(false)
    bench.draft.name = 'Ma stratégie'
    expect(bench.savable.value).toBe(true)
  })

  it('is created the first time and changed the next', async () => {
    vi.mocked(http.createStrategy).mockResolvedValue(strategy)
    vi.mocked(http.changeStrategy).mockResolvedValue({ ...strategy, code: 'x = 2', version: 3 })
    const bench = useStrategyDraft()
    bench.draft.name = 'EMA'
    await bench.saving.run()
    expect(bench.id.value).toBe(7)
    expect(bench.changed.value).toBe(false)
    bench.draft.code = 'x = 2'
    expect(bench.changed.value).toBe(true)
    await bench.saving.run()
    expect(http.changeStrategy).toHaveBeenCalledWith(7, expect.objectContaining({ code: 'x = 2' }))
    expect(bench.current.value?.version).toBe(3)
  })

  it('keeps what is typed while a saving is on its way', async () => {
    let answer: (value: http.Strategy) => void = () => undefined
    vi.mocked(http.changeStrategy).mockReturnValue(new Promise((resolve) => (answer = resolve)))
    const bench = useStrategyDraft()
    bench.open(strategy)
    bench.draft.code = 'x = 2'
    const saving = bench.saving.run()
    bench.draft.code = 'x = 3'
    answer({ ...strategy, code: 'x = 2' })
    await saving
    expect(bench.draft.code).toBe('x = 3')
    expect(bench.changed.value).toBe(true)
  })

  it('marks the line of a text that the server refuses', async () => {
    const details = { errors: [{ line: 3, column: 5, message: 'Erreur de syntaxe' }] }
    vi.mocked(http.changeStrategy).mockRejectedValue(new ApiError('refusé', 'strategy_invalid', 400, details))
    const bench = useStrategyDraft()
    bench.open(strategy)
    bench.draft.code = 'class ('
    await bench.saving.run()
    expect(bench.errors.value).toEqual(details.errors)
    expect(bench.saving.message.value).toBe('refusé')
    expect(bench.changed.value).toBe(true)
  })

  it('forgets a verdict as soon as the text changes, and ignores one about an older text', async () => {
    vi.mocked(http.validateCode).mockResolvedValue({ valid: true, class_name: 'A', errors: [], params: [] })
    const bench = useStrategyDraft()
    bench.open(strategy)
    await bench.checking.run()
    expect(bench.verdict.value?.valid).toBe(true)
    bench.draft.code = 'y = 1'
    await nextTick()
    expect(bench.verdict.value).toBeNull()
    const checking = bench.checking.run()
    bench.draft.code = 'z = 1'
    await checking
    expect(bench.verdict.value).toBeNull()
  })
})
