/** The one door to the REST API: session cookie, CSRF token, errors as `ApiError`. */
import { ApiError } from './errors'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

function csrfToken(): string {
  return /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? ''
}

function unreachable(path: string, cause: unknown): ApiError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new ApiError(`Le serveur Aristobot ne répond pas (${path}) : ${reason}`, 'unreachable', 0)
}

async function failure(response: Response, path: string): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null)
  if (body && typeof body === 'object' && 'message' in body && 'code' in body) {
    const details = 'details' in body && body.details && typeof body.details === 'object' ? body.details : {}
    return new ApiError(String(body.message), String(body.code), response.status, details as Record<string, unknown>)
  }
  return new ApiError(`Réponse inattendue du serveur (${path}) : HTTP ${response.status}`, 'unexpected', response.status)
}

let onUnauthenticated: () => void = () => undefined

/** Tells the client what to do when the server says that nobody is logged in any more. */
export function setUnauthenticatedHandler(handler: () => void): void {
  onUnauthenticated = handler
}

export type Query = Record<string, string | number | boolean | null | undefined>

function withQuery(path: string, query?: Query): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== '')
  const search = new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString()
  return search ? `${path}?${search}` : path
}

interface RequestOptions {
  body?: unknown
  query?: Query
  signal?: AbortSignal
}

/**
 * Sends one request and returns its JSON body.
 *
 * Raises: ApiError with the server's code and French message, or `unreachable` without an answer.
 */
export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  if (!SAFE.has(method)) headers['X-CSRFToken'] = csrfToken()
  const body = options.body === undefined ? undefined : JSON.stringify(options.body)
  let response: Response
  try {
    const init: RequestInit = { method, headers, body, credentials: 'same-origin', signal: options.signal }
    response = await fetch(withQuery(path, options.query), init)
  } catch (cause) {
    throw unreachable(path, cause)
  }
  if (!response.ok) {
    const error = await failure(response, path)
    if (error.status === 401 || error.code === 'not_authenticated') onUnauthenticated()
    throw error
  }
  return (response.status === 204 ? undefined : await response.json()) as T
}

export const get = <T>(path: string, query?: Query): Promise<T> => request<T>('GET', path, { query })
export const post = <T>(path: string, body: unknown = {}): Promise<T> => request<T>('POST', path, { body })
export const patch = <T>(path: string, body: unknown): Promise<T> => request<T>('PATCH', path, { body })
export const del = <T>(path: string, body?: unknown): Promise<T> => request<T>('DELETE', path, { body })

export interface Page<T> {
  results: T[]
  next: string | null
  previous: string | null
}

const MAX_PAGES = 50

/** Follows `next` to the end and returns every row (stops with an error past 50 pages). */
export async function getAll<T>(path: string, query?: Query): Promise<T[]> {
  const rows: T[] = []
  let page = await get<Page<T>>(path, query)
  for (let count = 1; ; count += 1) {
    rows.push(...page.results)
    if (!page.next) return rows
    if (count >= MAX_PAGES) throw new ApiError(`Liste trop longue (${path}) : plus de ${MAX_PAGES} pages`, 'too_long', 200)
    const next = new URL(page.next, location.origin)
    page = await get<Page<T>>(next.pathname + next.search)
  }
}
