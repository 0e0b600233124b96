import { onMounted, onUnmounted } from 'vue'

const FIELDS = 'input, textarea, select, [contenteditable="true"]'
const PRESSABLE = 'button, a, [role="option"], [role="tab"], [role="combobox"]'

/**
 * Keys of a page: by name (`/`, `a`, `Enter`, `Control+Enter`).
 *
 * They sleep while something is typed or a window is open; those with Control do not sleep in a field.
 */
export function useShortcuts(keys: Record<string, () => void>): void {
  function pressed(event: KeyboardEvent): void {
    if (event.altKey || event.metaKey || event.isComposing || event.repeat || document.querySelector('[role="dialog"]')) return
    const target = event.target instanceof Element ? event.target : null
    const typing = Boolean(target?.closest(FIELDS))
    if (event.key === 'Escape' && typing) return (target as HTMLElement).blur()
    const name = event.ctrlKey ? `Control+${event.key}` : event.key.length === 1 ? event.key.toLowerCase() : event.key
    const act = keys[name]
    if (!act || (typing && !event.ctrlKey)) return
    if (event.key === 'Enter' && !event.ctrlKey && target?.closest(PRESSABLE)) return // Enter presses what has the focus
    event.preventDefault()
    act()
  }
  onMounted(() => document.addEventListener('keydown', pressed))
  onUnmounted(() => document.removeEventListener('keydown', pressed))
}
