// The parts of ECharts that the charts need: the whole of it would be four times as large.

import { LineChart } from "echarts/charts";
import { GridSimpleComponent, LegendPlainComponent, TooltipComponent } from "echarts/components";
import { type ECharts, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridSimpleComponent, LegendPlainComponent, TooltipComponent, SVGRenderer]);

export { type ECharts, init };
