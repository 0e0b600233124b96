/**
 * The one door to the REST API, typed by the server's own description (`schema.d.ts`).
 *
 * Carries the session cookie and the CSRF token; every failure is an `ApiError`.
 */
import createClient from 'openapi-fetch'
import { ApiError } from './errors'
import type { components, paths } from './schema'

export type Schemas = components['schemas']

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

export const api = createClient<paths>({
  baseUrl: location.origin,
  credentials: 'same-origin',
  // Read at each call, not once: specs replace the global.
  fetch: (request) => fetch(request),
})

function csrfToken(): string {
  return /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? ''
}

api.use({
  onRequest({ request }) {
    if (!SAFE.has(request.method)) request.headers.set('X-CSRFToken', csrfToken())
    return request
  },
})

let onUnauthenticated: () => void = () => undefined

/** Tells the client what to do when the server says that nobody is logged in any more. */
export function setUnauthenticatedHandler(handler: () => void): void {
  onUnauthenticated = handler
}

function unreachable(cause: unknown): ApiError {
  // A TypeError holds the browser's own English words for a connection that was refused or lost.
  const reason = cause instanceof TypeError ? 'connexion refusée ou perdue' : cause instanceof Error ? cause.message : String(cause)
  return new ApiError(`Le serveur Aristobot ne répond pas : ${reason}`, 'unreachable', 0)
}

function failure(response: Response, body: unknown): ApiError {
  if (body && typeof body === 'object' && 'message' in body && 'code' in body) {
    const details = 'details' in body && body.details && typeof body.details === 'object' ? body.details : {}
    return new ApiError(String(body.message), String(body.code), response.status, details as Record<string, unknown>)
  }
  return new ApiError(`Réponse inattendue du serveur : HTTP ${response.status}`, 'unexpected', response.status)
}

interface Outcome<T> {
  data?: T
  error?: unknown
  response: Response
}

/**
 * Waits for one call and returns its body.
 *
 * Raises: ApiError with the server's code and French message, or `unreachable` without an answer.
 */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await call.catch((cause: unknown) => {
    throw unreachable(cause)
  })
  if (response.ok) return data as T
  const refused = failure(response, error)
  if (refused.status === 401 || refused.code === 'not_authenticated') onUnauthenticated()
  throw refused
}

/** How long a streamed answer may say nothing: the server gives a sign every five seconds. */
export const SILENCE_MS = 20_000

async function readWithin(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`aucune nouvelle depuis ${SILENCE_MS / 1000} s`)), SILENCE_MS)
  })
  return Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer))
}

/**
 * Posts, and yields each JSON line of the answer as it comes. Aborting the signal ends it without an error.
 *
 * Raises: ApiError as `answer`, also when the server falls silent or the connection is cut in the middle.
 */
export async function* answerLines<T>(path: string, body: object, signal: AbortSignal): AsyncGenerator<T> {
  try {
    const headers = { 'Content-Type': 'application/json', 'X-CSRFToken': csrfToken() }
    const response = await fetch(new Request(location.origin + path, { method: 'POST', credentials: 'same-origin', headers, body: JSON.stringify(body), signal }))
    if (!response.ok || !response.body) {
      await answer(Promise.resolve({ error: await response.json().catch(() => undefined), response }))
      return
    }
    yield* linesOf<T>(response.body.getReader())
  } catch (cause) {
    if (signal.aborted) return
    throw cause instanceof ApiError ? cause : unreachable(cause)
  }
}

async function* linesOf<T>(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<T> {
  const decoder = new TextDecoder()
  let held = ''
  try {
    for (;;) {
      const { done, value } = await readWithin(reader)
      held += decoder.decode(value, { stream: !done })
      const lines = held.split('\n')
      held = lines.pop() ?? ''
      for (const line of lines) if (line) yield JSON.parse(line) as T
      if (done) return
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

export interface Page<T> {
  results: T[]
  next?: string | null
}

/** How many rows a page of a list holds; the server's maximum is 500. */
export const PAGE_SIZE = 100
const MAX_PAGES = 50

/** Follows the pages to the end and returns every row (stops with an error past 50 pages). */
export async function answerAll<T>(call: (query: { limit: number; cursor?: string }) => Promise<Outcome<Page<T>>>): Promise<T[]> {
  const rows: T[] = []
  let cursor: string | undefined
  for (let count = 0; count < MAX_PAGES; count += 1) {
    const page = await answer(call({ limit: PAGE_SIZE, cursor }))
    rows.push(...page.results)
    cursor = page.next ? (new URL(page.next, location.origin).searchParams.get('cursor') ?? undefined) : undefined
    if (!cursor) return rows
  }
  throw new ApiError(`Liste trop longue : plus de ${MAX_PAGES * PAGE_SIZE} lignes`, 'too_long', 200)
}
