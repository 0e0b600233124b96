import { cleanup, render } from '@testing-library/vue'
import { afterEach, expect, it, vi } from 'vitest'
import { h } from 'vue'
import type { QuickTestDraft, QuickTestNews } from '@/api/strategies'
import { fakeServer } from '@/testing/server'
import { useQuickTest } from './useQuickTest'

const told: ((news: QuickTestNews) => void)[] = []
vi.mock('@/websocket/live', () => ({ live: { on: (_: string, hear: (news: QuickTestNews) => void) => (told.push(hear), () => told.splice(0)) } }))

const draft: QuickTestDraft = { code: 'x', broker: 1, symbol: 'BTC/USDT', timeframe: '1m', amount: '1000', params: {} }
const CANCEL = '/api/backtests/quick-test/cancel/'
const CANCELLED = { status: 409, body: { code: 'cancelled', message: 'Annulé à votre demande.', details: {} } }

afterEach(cleanup)

/** A test that answers when it is let to. */
function world() {
  let answer: (value: Response) => void = () => undefined
  const server = fakeServer({ [`POST ${CANCEL}`]: { status: 204 } })
  const fetched = globalThis.fetch
  vi.stubGlobal('fetch', (input: Request) =>
    input.url.endsWith(CANCEL) ? fetched(input) : new Promise<Response>((resolve) => (answer = resolve)))
  let quick = null as unknown as ReturnType<typeof useQuickTest>
  const page = render({ setup: () => ((quick = useQuickTest()), () => h('p')) })
  const done = quick.run(draft)
  const end = ({ status = 200, body = {} }: { status?: number; body?: unknown }) => answer(Response.json(body, { status }))
  return { server, quick, page, done, end }
}

it('shows how far its own test is, and ends at the user’s word', async () => {
  const { server, quick, done, end } = world()
  const id = quick.at.value?.id ?? ''
  told.forEach((hear) => hear({ id: 'another', phase: 'running', progress: 0.9 }))
  expect(quick.at.value?.phase).toBe('loading')
  told.forEach((hear) => hear({ id, phase: 'running', progress: 0.4 }))
  expect(quick.at.value?.progress).toBe(0.4)

  await quick.cancel()
  expect(quick.cancelling.value).toBe(true)
  expect(server.calls.map((call) => [call.path, call.body])).toEqual([[CANCEL, { id }]])
  await vi.waitFor(() => end(CANCELLED))
  expect(await done).toBeNull()
  expect([quick.at.value, quick.cancelled.value, quick.cancelling.value]).toEqual([null, true, false])
})

it('takes the test back when the page is left', async () => {
  const { server, page, done, end } = world()
  page.unmount()
  await vi.waitFor(() => expect(server.calls).toHaveLength(1))
  end(CANCELLED)
  await done
})
