%% What the stand-ins are told by a test: release, data_directory, configuration, denied, is_registry_late, and how many
%% ms emqx_hooks takes for each that it takes out, hooks_take.
-module(emqx_stand_ins).

-export([set/2, get/2, put_rewriting/0, put_validation/0, rewrite/1, validate/1]).

set(Key, Value) -> persistent_term:put({?MODULE, Key}, Value).

get(Key, Default) -> persistent_term:get({?MODULE, Key}, Default).

%% With the priorities of EMQX: `old` becomes `new`, and `wrong` is dropped.
put_rewriting() -> emqx_hooks:put('message.publish', {?MODULE, rewrite, []}, 980).

put_validation() -> emqx_hooks:put('message.publish', {?MODULE, validate, []}, 945).

rewrite(Message) ->
    case emqx_message:topic(Message) of
        <<"old">> -> {ok, emqx_message:set_topic(<<"new">>, Message)};
        _ -> {ok, Message}
    end.

validate(Message) ->
    case emqx_message:topic(Message) of
        <<"wrong">> -> {stop, emqx_message:set_header(allow_publish, false, Message)};
        _ -> {ok, Message}
    end.
