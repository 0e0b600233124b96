import { computed, ref, shallowRef } from 'vue'
import { messageOf } from '@/api/errors'

export type LoadState = 'loading' | 'error' | 'empty' | 'ready'

/**
 * Runs an asynchronous action and shows where it stands.
 *
 * A second `run` while one is under way is ignored, so that a button cannot be pressed twice.
 */
export function useAction<A extends unknown[], T>(action: (...args: A) => Promise<T>) {
  const pending = ref(false)
  const error = shallowRef<unknown>(null)

  async function run(...args: A): Promise<T | undefined> {
    if (pending.value) return undefined
    pending.value = true
    error.value = null
    try {
      return await action(...args)
    } catch (cause) {
      error.value = cause
      return undefined
    } finally {
      pending.value = false
    }
  }

  const message = computed(() => (error.value === null ? null : messageOf(error.value)))
  return { run, pending, error, message }
}

/** A fetch that a page shows: `loading` until the first answer, then `ready`, `empty` or `error`. */
export function useLoad(load: () => Promise<unknown>, isEmpty: () => boolean = () => false) {
  const done = ref(false)
  const action = useAction(async () => {
    await load()
    done.value = true
  })
  const state = computed<LoadState>(() => {
    if (done.value) return isEmpty() ? 'empty' : 'ready'
    return action.error.value !== null ? 'error' : 'loading'
  })
  return { ...action, state }
}
