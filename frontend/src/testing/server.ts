/** A scripted server for specs: answers by `METHOD path`, remembers what it was asked. */
import { vi } from 'vitest'

export interface Call {
  method: string
  path: string
  body: unknown
}

export type Answer = { status?: number; body?: unknown } | ((call: Call) => { status?: number; body?: unknown })

export function fakeServer(answers: Record<string, Answer>): { calls: Call[]; set: (key: string, answer: Answer) => void } {
  const calls: Call[] = []
  const table = new Map(Object.entries(answers))
  vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
    const path = String(input).split('?')[0]
    const call: Call = { method: init?.method ?? 'GET', path, body: init?.body ? JSON.parse(String(init.body)) : undefined }
    calls.push(call)
    const answer = table.get(`${call.method} ${path}`)
    if (!answer) return new Response(JSON.stringify({ code: 'not_found', message: `Rien pour ${path}`, details: {} }), { status: 404 })
    const { status = 200, body } = typeof answer === 'function' ? answer(call) : answer
    return new Response(status === 204 ? null : JSON.stringify(body), { status })
  })
  return { calls, set: (key, answer) => table.set(key, answer) }
}
