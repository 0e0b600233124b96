import { onScopeDispose, ref, type Ref } from 'vue'

/** The present instant in epoch milliseconds, refreshed while the component lives. */
export function useNow(intervalMs = 1000): Readonly<Ref<number>> {
  const now = ref(Date.now())
  const timer = setInterval(() => (now.value = Date.now()), intervalMs)
  onScopeDispose(() => clearInterval(timer))
  return now
}
