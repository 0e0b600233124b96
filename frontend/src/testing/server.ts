/** A scripted server for specs: answers by `METHOD path`, remembers what it was asked. */
import { vi } from 'vitest'

export interface Call {
  method: string
  path: string
  search: string
  body: unknown
}

export type Answer = { status?: number; body?: unknown } | ((call: Call) => { status?: number; body?: unknown })

export function fakeServer(answers: Record<string, Answer>): { calls: Call[]; set: (key: string, answer: Answer) => void } {
  const calls: Call[] = []
  const table = new Map(Object.entries(answers))
  vi.stubGlobal('fetch', async (input: Request | string) => {
    const request = input instanceof Request ? input : new Request(new URL(input, location.origin))
    const text = await request.text()
    const sent: unknown = text ? JSON.parse(text) : undefined
    const { pathname: path, search } = new URL(request.url)
    const call: Call = { method: request.method, path, search, body: sent }
    calls.push(call)
    const answer = table.get(`${call.method} ${path}`)
    if (!answer) return Response.json({ code: 'not_found', message: `Rien pour ${path}`, details: {} }, { status: 404 })
    const { status = 200, body } = typeof answer === 'function' ? answer(call) : answer
    return status === 204 ? new Response(null, { status }) : Response.json(body, { status })
  })
  return { calls, set: (key, answer) => table.set(key, answer) }
}
