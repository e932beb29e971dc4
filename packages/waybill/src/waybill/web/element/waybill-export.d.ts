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

/** What `waybill:error` tells; `status` is 0 when the service could not be asked. */
export interface WaybillRefusal {
  status: number;
  code: string;
  detail: string;
}

/** Fires `waybill:requested`, `waybill:progress`, one of `waybill:completed`, `waybill:failed`,
 * `waybill:cancelled`, and `waybill:error`; they bubble out of shadow trees. */
export class WaybillExport extends HTMLElement {
  /** Gives a bearer token, anew for each request; `null` sends the cookie of this origin. */
  token: null | (() => string | Promise<string>);
  /** Columns, filters, compression …, as the API's body has them. */
  request: null | Record<string, unknown>;
  refresh(): Promise<void>;
  requestExport(): Promise<WaybillExportDocument | null>;
  cancel(): Promise<void>;
  download(id?: string): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "waybill-export": WaybillExport;
  }
}
