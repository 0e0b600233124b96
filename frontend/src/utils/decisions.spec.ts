import { expect, it } from 'vitest'
import { decision } from '@/testing/samples'
import { withNews } from './decisions'

const at = (id: number, minute: number, status: 'leased' | 'decided' = 'decided') =>
  decision({ id, status, close_time: `2026-11-22T12:${minute}:00Z` })
const seen = (rows: { id: number; status: string }[]) => rows.map(({ id, status }) => `${id} ${status}`)

it('takes over every decision that came since, not the newest alone', () => {
  const rows = [at(4, 14), at(3, 13, 'leased'), at(2, 12)]
  expect(seen(withNews(rows, [at(5, 15, 'leased'), at(4, 14, 'leased'), at(3, 13), at(1, 11)]))).toEqual(['5 leased', '4 decided', '3 decided', '2 decided'])
})

it('shows the first decision of a bot that had none', () => {
  expect(seen(withNews([], [at(1, 11)]))).toEqual(['1 decided'])
})
