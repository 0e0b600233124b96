import { computed, ref, shallowRef, watch } from 'vue'
import { fetchModels, testProvider, type AiModel, type ProviderName, type ProviderTest } from '@/api/assistant'
import { useAssistant } from '@/stores/assistant'
import { useAction } from './useAsync'

/** The state of one AI provider's panel: what is stored, what is being typed, what its server answered. */
export function useProvider(name: ProviderName) {
  const assistant = useAssistant()
  const isOn = computed(() => assistant.settings?.provider === name)
  const key = computed(() => (name === 'openrouter' ? assistant.settings?.openrouter : undefined))
  const url = computed(() => assistant.settings?.ollama.url ?? '')
  const typed = ref('')
  const changed = computed(() => isOn.value && typed.value.trim() !== '' && (name === 'openrouter' || typed.value.trim() !== url.value))
  const canAsk = computed(() => name === 'ollama' || Boolean(key.value?.has_key))

  const listed = shallowRef<AiModel[] | null>(null)
  const search = ref('')
  const tested = ref<ProviderTest | null>(null)
  const models = useAction(async () => {
    listed.value = null
    listed.value = await fetchModels(name)
  })
  const options = computed(() => {
    const wanted = search.value.trim().toLowerCase()
    const found = (listed.value ?? []).filter((one) => !wanted || one.id.toLowerCase().includes(wanted) || one.name.toLowerCase().includes(wanted))
    return found.map((one) => one.id)
  })

  const choose = useAction(async (id: string) => {
    await assistant.change(name === 'ollama' ? { ollama_model: id } : { openrouter_model: id })
  })
  const model = computed({
    get: () => assistant.settings?.[name].model ?? '',
    set: (id: string) => {
      search.value = ''
      if (id !== model.value) void choose.run(id)
    },
  })

  const toggle = useAction(async (on: boolean) => assistant.change({ provider: on ? name : '' }))
  const store = useAction(async () => {
    if (!changed.value) return
    await assistant.change(name === 'ollama' ? { ollama_url: typed.value } : { openrouter_key: typed.value })
    typed.value = name === 'ollama' ? url.value : ''
    if (models.pending.value) return
    await models.run()
  })
  const erase = useAction(async () => {
    await assistant.change({ openrouter_key: '' })
    listed.value = null
  })
  const test = useAction(async () => {
    tested.value = null
    tested.value = await testProvider(name)
  })

  function forgetTest(): void {
    tested.value = null
    test.error.value = null
  }
  watch([model, isOn, () => key.value?.key_hint, url], forgetTest)
  watch(url, (kept) => name === 'ollama' && (typed.value = kept), { immediate: true })
  watch(isOn, (on) => {
    if (on && canAsk.value) void models.run()
    if (!on) models.error.value = null
  }, { immediate: true })

  return { isOn, key, typed, changed, canAsk, listed, search, options, model, models, choose, toggle, store, erase, test, tested }
}
