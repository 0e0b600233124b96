import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it } from 'vitest'
import { liveRun, run } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import { useBacktests } from './backtests'

beforeEach(() => setActivePinia(createPinia()))

it('never takes a run back: an answer that an event has overtaken changes nothing', () => {
  const runs = useBacktests()
  runs.merge(liveRun({ id: 3, status: 'running', phase_progress: 0.4 }))
  runs.merge(liveRun({ id: 3, status: 'loading', phase_progress: 0.9 }))
  expect(runs.byId[3]).toMatchObject({ status: 'running', phase_progress: 0.4 })
  runs.follow({ id: 3, kind: 'run', phase: 'running', progress: 0.2, detail: '' })
  expect(runs.byId[3]?.phase_progress, 'nor its progress').toBe(0.4)
  runs.merge(run({ id: 3 }))
  runs.follow({ id: 3, kind: 'run', phase: 'running', progress: 0.9, detail: '' })
  expect(runs.byId[3]?.status).toBe('done')
})

it('follows progress by phase, and not that of a sweep of the same number', () => {
  const runs = useBacktests()
  runs.merge(liveRun({ id: 3 }))
  runs.follow({ id: 3, kind: 'sweep', phase: 'running', progress: 0.5, detail: '' })
  expect(runs.byId[3]?.status).toBe('queued')
  runs.follow({ id: 3, kind: 'run', phase: 'loading', progress: 0.5, detail: '12 000 bougies' })
  expect(runs.byId[3]).toMatchObject({ status: 'loading', phase_progress: 0.5 })
  expect(runs.details[3]).toBe('12 000 bougies')
})

it('forgets what was deleted elsewhere, keeps what is older than the page, and what was deleted here stays away', async () => {
  const runs = useBacktests()
  ;[9, 8, 2].forEach((id) => runs.merge(run({ id })))
  fakeServer({
    'GET /api/backtests/': { body: { results: [run({ id: 9 }), run({ id: 7 })], next: 'http://x/api/backtests/?cursor=abc' } },
    'DELETE /api/backtests/9/': { status: 204 },
  })
  await runs.refresh()
  expect(runs.list.map(({ id }) => id)).toEqual([9, 7, 2])
  await runs.remove(9)
  runs.merge(run({ id: 9 }))
  expect(runs.list.map(({ id }) => id)).toEqual([7, 2])
})
