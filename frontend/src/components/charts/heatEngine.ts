/** The parts of echarts that a heat map needs, registered; imported on demand only, for they are heavy. */
import { HeatmapChart, ScatterChart } from 'echarts/charts'
import { GridComponent, TooltipComponent, VisualMapComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'

use([HeatmapChart, ScatterChart, GridComponent, TooltipComponent, VisualMapComponent, CanvasRenderer])

export { init }
