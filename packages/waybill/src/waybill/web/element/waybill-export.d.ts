/** An export as the API describes it (`ExportDocument` of /openapi.json). */
export interface WaybillExportDocument {
  id: string;
  type: string;
  format: string;
  status: "queued" | "running" | "completed" | "failed" | "cancelled" | "expired" | "deleted";
  progress: {
    percent: number | null;
    rows: number;
    rows_expected: number | null;
    rows_expected_is: "exact" | "estimate" | null;
    bytes: number;
    rows_per_second: number | null;
    eta_seconds: number | null;
  };
  bytes: number | null;
  sha256: string | null;
  error: { code: string; detail: string | null } | null;
}

/** What `waybill:error` tells; `status` is 0 when the service could not be asked: `code` is then
 * `unreachable`, `origin_not_listed`, `not_set_up` or `host_failed`. */
export interface WaybillRefusal {
  status: number;
  code: string;
  detail: string;
}

/** What is fired, and what its event's `detail` is. All bubble out of shadow trees. */
export interface WaybillExportEvents {
  "waybill:requested": CustomEvent<WaybillExportDocument>;
  "waybill:progress": CustomEvent<WaybillExportDocument>;
  "waybill:completed": CustomEvent<WaybillExportDocument>;
  "waybill:failed": CustomEvent<WaybillExportDocument>;
  "waybill:cancelled": CustomEvent<WaybillExportDocument>;
  "waybill:error": CustomEvent<WaybillRefusal>;
}

export interface WaybillExportEventMap extends HTMLElementEventMap, WaybillExportEvents {}

export class WaybillExport extends HTMLElement {
  /** Gives a bearer token, anew for each request; `null` sends the cookie of this origin. */
  token: null | (() => string | Promise<string>);
  /** Columns, filters, compression …, as the API's body has them. */
  request: null | Record<string, unknown>;
  refresh(): Promise<void>;
  requestExport(): Promise<WaybillExportDocument | null>;
  cancel(): Promise<void>;
  download(id?: string): Promise<void>;
  addEventListener<K extends keyof WaybillExportEventMap>(
    type: K,
    listener: (this: WaybillExport, event: WaybillExportEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof WaybillExportEventMap>(
    type: K,
    listener: (this: WaybillExport, event: WaybillExportEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "waybill-export": WaybillExport;
  }
  // For whom listens further up: they bubble.
  interface DocumentEventMap extends WaybillExportEvents {}
  interface WindowEventMap extends WaybillExportEvents {}
}
